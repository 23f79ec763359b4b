-- DROP-COMPLETED: drops the jobs that BullMQ has completed, but for the last ones, which are kept for who looks at Bull Board.
-- ARGV: 1 prefix of BullMQ's job keys  2 how many to keep  3 how many to drop at most
-- Returns how many were dropped.
-- Keeps: nothing is dropped but what BullMQ calls completed, oldest first. A full Redis must not stop this.
local completed = ARGV[1] .. 'completed'
local most = math.min(redis.call('ZCARD', completed) - ARGV[2], tonumber(ARGV[3]))
if most <= 0 then return 0 end
local keys = redis.call('ZRANGE', completed, '0', int(most - 1))
for i, job in ipairs(keys) do keys[i] = ARGV[1] .. job end
redis.call('UNLINK', unpack(keys))
redis.call('ZREMRANGEBYRANK', completed, '0', int(most - 1))
return most
