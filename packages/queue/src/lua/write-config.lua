-- WRITE-CONFIG: changes an app's config if nobody changed it since it was read.
-- ARGV: 1 app (owner number)  2 version read, 0 for an app that is not there yet
--       3 JSON {set: {field: value}, del: [field], hold: [endpoint], open: [endpoint], doom: {owner: 'endpoint'|'app'},
--               lanes: [endpoint] whose lanes end, tombstone: bool}
--       4 a name for this change, so that it is made once however often it is sent
-- Returns the new version, or 0: read again.
-- Keeps: the version rises with every change, in the same step, so that ACCEPT and CLAIM see whoever is behind.
local key = p .. 'cfg:' .. ARGV[1]
local version = tonumber(redis.call('HGET', key, 'v') or 0)
if redis.call('HGET', key, 'change') == ARGV[4] then return version end
if version ~= tonumber(ARGV[2]) then return 0 end
local change = cjson.decode(ARGV[3])
-- Later than any version before it, also one that Redis lost when it came back from an older state.
local next_version = math.max(version + 1, now_ms())
if change.tombstone then
  redis.call('DEL', key)
  redis.call('HSET', key, 'gone', '1')
end
redis.call('HSET', key, 'v', int(next_version), 'change', ARGV[4])
for field, value in pairs(change.set or {}) do redis.call('HSET', key, field, value) end
for _, field in ipairs(change.del or {}) do redis.call('HDEL', key, field) end
for _, endpoint in ipairs(change.hold or {}) do
  redis.call('HSET', p .. 'lane:' .. endpoint, 'held', '1')
  redis.call('SREM', p .. 'ring', endpoint)
end
for _, endpoint in ipairs(change.open or {}) do
  redis.call('HDEL', p .. 'lane:' .. endpoint, 'held')
  redis.call('SADD', p .. 'ring', endpoint)
end
-- What still waits in an ended lane is cancelled by its owner's walk; what comes after finds no lane that holds it.
for _, endpoint in ipairs(change.lanes or {}) do
  redis.call('DEL', p .. 'lane:' .. endpoint, p .. 'q:' .. endpoint)
  redis.call('SREM', p .. 'ring', endpoint)
end
for owner, kind in pairs(change.doom or {}) do redis.call('HSET', p .. 'doomed', owner, kind .. ':0') end
return next_version
