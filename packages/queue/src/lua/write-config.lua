-- WRITE-CONFIG: changes an app's config if nobody changed it since it was read.
-- ARGV: 1 app (owner number)  2 version read, 0 for an app that is not there yet
--       3 JSON {set: {field: value}, del: [field], doom: {owner: 'endpoint'|'app'}, tombstone: bool,
--               lanes: {endpoint: all settings of its lane (lane.lua)}, reopen: [endpoint] whose lanes close no more,
--               idle: the app's name, when idle endpoints of it are to be disabled from now on,
--               end: [endpoint] whose lanes end, outbox: [{t: event type, e: endpoint, …}],
--               of an app that moves between shards (packages/store/src/move): hold: [endpoint] whose lanes wait for those of
--               the shard that it comes from, above: a version of the app elsewhere, came: its name, in the shard that it comes to, left: in the one it leaves}
--       4 a name for this change, so that it is made once however often it is sent
-- Returns the new version, or 0: read again.
-- Keeps: the version rises with every change, in the same step, so that ACCEPT and CLAIM see whoever is behind.
local key = p .. 'cfg:' .. ARGV[1]
local version = tonumber(redis.call('HGET', key, 'v') or 0)
if redis.call('HGET', key, 'change') == ARGV[4] then return version end
if version ~= tonumber(ARGV[2]) then return 0 end
local change = cjson.decode(ARGV[3])
-- Later than any version before it, also one that Redis lost when it came back from an older state.
local next_version = math.max(version + 1, now, (change.above or 0) + 1)
if change.tombstone then
  redis.call('DEL', key)
  redis.call('HSET', key, 'gone', '1')
  redis.call('HDEL', p .. 'idle', ARGV[1])
  redis.call('UNLINK', p .. 'idle:' .. ARGV[1], p .. 'held:' .. ARGV[1])
  redis.call('HDEL', p .. 'came', ARGV[1])
  redis.call('HDEL', p .. 'left', ARGV[1])
end
redis.call('HSET', key, 'v', int(next_version), 'change', ARGV[4])
for field, value in pairs(change.set or {}) do redis.call('HSET', key, field, value) end
for _, field in ipairs(change.del or {}) do redis.call('HDEL', key, field) end
if change.came then redis.call('HSET', p .. 'came', ARGV[1], change.came) end
if change.left then
  redis.call('HSET', p .. 'left', ARGV[1], change.left)
  redis.call('HDEL', p .. 'idle', ARGV[1])
  redis.call('UNLINK', p .. 'idle:' .. ARGV[1])
end
if change.idle then redis.call('HSET', p .. 'idle', ARGV[1], change.idle) end

local SETTINGS = { 'mc', 'or', 'rl', 'rp', 'rs', 'qh', 'qs', 'ps', 'off' }
local function configure(lane, settings)
  for _, since in ipairs({ 'ps', 'off' }) do settings[since] = settings[since] and (lane[since] or now) end
  if settings.rl ~= lane.rl or settings.rp ~= lane.rp then lane.ta = nil end
  if not settings.rl then redis.call('UNLINK', p .. 'tok:' .. lane.name) end
  for _, field in ipairs(SETTINGS) do lane[field] = settings[field] end
  lane.qf, lane.qu = settings.qf, settings.qu
  if lane['or'] and lane.cl then reopen(lane, tonumber(ARGV[1]), 'change') end -- it has no breaker
end

for _, endpoint in ipairs(change.hold or {}) do
  redis.call('SADD', p .. 'held:' .. ARGV[1], int(endpoint))
  lane_of(int(endpoint)).mv = 1
end
for endpoint, settings in pairs(change.lanes or {}) do
  local lane = lane_of(endpoint)
  configure(lane, settings)
  ready(lane)
end
for _, endpoint in ipairs(change.reopen or {}) do
  local lane = lane_of(int(endpoint))
  reopen(lane, tonumber(ARGV[1]), 'change')
  ready(lane)
end
save_all()
-- What still waits in an ended lane is cancelled by its owner's walk; what comes after finds no lane that holds it.
for _, endpoint in ipairs(change['end'] or {}) do
  local name = int(endpoint)
  local in_ring = redis.call('HGET', p .. 'lane:' .. name, 'rg')
  redis.call('UNLINK', p .. 'lane:' .. name, p .. 'q:' .. name, p .. 'r:' .. name, p .. 'y:' .. name, p .. 's:' .. name,
    p .. 'tok:' .. name)
  redis.call('ZREM', p .. 'wake', name)
  redis.call('SREM', p .. 'closed', name)
  redis.call('HDEL', p .. 'idle:' .. ARGV[1], name)
  -- Known until its turn takes it from the ring, so that what still comes back to it puts it there but once.
  if in_ring then redis.call('HSET', p .. 'lane:' .. name, 'rg', in_ring) end
end
for _, entry in ipairs(change.outbox or {}) do tell_operators(entry.t, tonumber(ARGV[1]), entry.e, entry) end
for owner, kind in pairs(change.doom or {}) do redis.call('HSET', p .. 'doomed', owner, kind .. ':0') end
return next_version
