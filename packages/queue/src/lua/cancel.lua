-- CANCEL: ends an open delivery without another attempt.
-- ARGV: 1 delivery number  2 app (owner number)  3 reason  4 retention of records, ms  5 retention of bodies, ms
-- Returns {'cancelled', generation} (its job, if any, is of no use now), {'ended', status}, {'missing'}.
-- Keeps: an attempt under way may still succeed, and then the delivery is delivered (SETTLE).
local number = tonumber(ARGV[1])
local d = read(number)
if not d or int(d.app) ~= ARGV[2] then return { 'missing' } end
if not is_open(d.status) then return { 'ended', d.status } end
local now = now_ms()
redis.call('ZREM', p .. 'watch', int(number))
set_status(d, CANCELLED, correlation_of(d), now, tonumber(ARGV[4]), tonumber(ARGV[5]))
d.reason, d.due = tonumber(ARGV[3]), now
write(d)
return { 'cancelled', d.generation }
