-- CONFIRM: whether events are still as they were accepted, and a write after them, for WAIT and WAITAOF to wait for. Sent
-- by text, in one piece with that command (barrier.ts); nothing is put before it.
-- KEYS: 1 the shard's prefix  2 for a Redis Cluster alone (scripts.ts)
-- ARGV: number and time of acceptance (ms) of each event, in turn
-- Returns the numbers of those that are not.
-- Keeps: what it finds was written here before its own write. A number may have been given out anew by a Redis that came
-- back with an older state; the time tells the two apart.
local BUCKET = 128
local missing = {}
for i = 1, #ARGV, 2 do
  local number = tonumber(ARGV[i])
  local field = number % BUCKET
  local record = redis.call('HGET', KEYS[1] .. string.format('e:%.0f', (number - field) / BUCKET), string.format('%.0f', field))
  if not record or not string.find(record, '"at":' .. ARGV[i + 1] .. '[,}]') then missing[#missing + 1] = number end
end
redis.call('SET', KEYS[1] .. 'barrier', '1')
return missing
