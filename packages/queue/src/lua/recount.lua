-- RECOUNT: sets right what LOOK tells: open deliveries of the whole shard, and its closed lanes.
-- ARGV: 1 … owner numbers of the shard's apps
-- Returns {pending before, pending now, retrying before, retrying now}; before: '' where nothing was counted yet. From then
-- on the shard's `flow` has `rc`, how often that was done.
-- Keeps: it is one step, so nothing changes while it adds up the counts by app, which are exact. Needed where an older
-- version has written or still writes, since that does not count for the whole shard.
local pending, retrying, oldest = 0, 0, math.huge
local seen = {}
local function add(owner)
  if seen[owner] then return end
  seen[owner] = true
  local counts = redis.call('HMGET', p .. 'c:' .. owner, PENDING, RETRYING)
  local of_pending, of_retrying = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
  pending, retrying = pending + of_pending, retrying + of_retrying
  if of_pending + of_retrying <= 0 then return end
  oldest = math.min(oldest, tonumber(redis.call('LINDEX', p .. 'x:' .. owner, -1) or 0))
end
for _, owner in ipairs(ARGV) do add(owner) end
-- Apps of which this shard has a part, whatever the directory says of where they are.
for _, apps in ipairs({ 'came', 'left' }) do
  for _, owner in ipairs(redis.call('HKEYS', p .. apps)) do add(owner) end
end
-- Deleted apps whose backlog is still being cancelled.
local doomed = redis.call('HGETALL', p .. 'doomed')
for i = 1, #doomed, 2 do
  if string.match(doomed[i + 1], '^app:') then add(doomed[i]) end
end
for _, name in ipairs(redis.call('SRANDMEMBER', p .. 'closed', 1000)) do
  if redis.call('HEXISTS', p .. 'lane:' .. name, 'cl') == 0 then redis.call('SREM', p .. 'closed', name) end
end

local before = redis.call('HMGET', p .. 'flow', 'pe', 're', 'fb')
if not before[3] then
  -- Indexes are in order of acceptance, and numbers nearly: what another API had reserved may be a little older.
  local last = tonumber(redis.call('GET', p .. 'n') or 0)
  local first = math.max(0, math.floor(math.min(oldest, last) / BUCKET) - 64)
  redis.call('HSET', p .. 'flow', 'fb', int(first))
end
redis.call('HSET', p .. 'flow', 'pe', int(pending), 're', int(retrying))
redis.call('HINCRBY', p .. 'flow', 'rc', 1)
return { before[1] or '', int(pending), before[2] or '', int(retrying) }
