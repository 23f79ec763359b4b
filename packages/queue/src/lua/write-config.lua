-- WRITE-CONFIG: changes an app's config if nobody changed it since it was read.
-- ARGV: 1 app (owner number)  2 version read, 0 for an app that is not there yet
--       3 JSON {set: {field: value}, del: [field], hold: [endpoint], open: [endpoint], doom: {owner: 'endpoint'|'app'},
--               tombstone: bool}
-- Returns the new version, or 0: read again.
-- Keeps: the version rises with every change, in the same step, so that ACCEPT and CLAIM see whoever is behind.
local key = p .. 'cfg:' .. ARGV[1]
local version = tonumber(redis.call('HGET', key, 'v') or 0)
if version ~= tonumber(ARGV[2]) then return 0 end
local change = cjson.decode(ARGV[3])
redis.call('HSET', key, 'v', version + 1)
if change.tombstone then
  redis.call('DEL', key)
  redis.call('HSET', key, 'v', version + 1, 'gone', '1')
end
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
for owner, kind in pairs(change.doom or {}) do redis.call('HSET', p .. 'doomed', owner, kind .. ':0') end
return version + 1
