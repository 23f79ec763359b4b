-- REKEY: puts seals made under the present master key in the place of those made under the one before.
-- ARGV: 1 event number, or '' when no event's record changes  2 that record as it was read  3 as it is from now on
--       4 … for each delivery its number, key id and seal as they were read (24 bytes), and as they are from now on
-- Returns how many deliveries were given their new seal, or -1 when the event's record is no longer the one read.
-- Keeps: nothing of a delivery changes but its key id and seal, and only if those are still the ones that were checked.
-- An event's record changes with the seals of its deliveries in one step, since they are made over it.
local SEAL_AT, SEAL_END = 40, 63
if ARGV[1] ~= '' then
  local bucket, field = place(tonumber(ARGV[1]))
  if redis.call('HGET', p .. 'e:' .. bucket, field) ~= ARGV[2] then return -1 end
  redis.call('HSET', p .. 'e:' .. bucket, field, ARGV[3])
end
local changed = 0
for i = 4, #ARGV, 3 do
  local bucket, field = place(tonumber(ARGV[i]))
  local bytes = redis.call('HGET', p .. 'd:' .. bucket, field)
  if bytes and #bytes == RECORD_BYTES and string.sub(bytes, SEAL_AT, SEAL_END) == ARGV[i + 1] then
    redis.call('HSET', p .. 'd:' .. bucket, field, string.sub(bytes, 1, SEAL_AT - 1) .. ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
