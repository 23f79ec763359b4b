-- CANCEL: ends an open delivery without another attempt.
-- ARGV: 1 delivery number  2 app (owner number)  3 reason  4 retention of records, ms  5 retention of bodies, ms
--       6 ms within which what is admitted must have moved
-- Returns {'cancelled', generation} (its job, if any, is of no use now), {'ended', status}, {'missing'}.
-- Keeps: an attempt under way may still succeed, and then the delivery is delivered (SETTLE).
local d = read(ARGV[1])
if not d or int(d.app) ~= ARGV[2] then return { 'missing' } end
if not is_open(d.status) then return { 'ended', d.status } end
-- Only a claim is watched for longer than an admission. One under way stays watched, so that RETRY does not begin
-- another attempt beside it; SETTLE, or else its time, ends that.
local watched = tonumber(redis.call('ZSCORE', p .. 'watch', ARGV[1]) or 0)
local is_attempted = has_flag(d.flags, FLAG_DETACHED) or watched > now + tonumber(ARGV[6])
if d.due > now or not is_attempted then redis.call('ZREM', p .. 'watch', ARGV[1]) end
local lane = lane_of(lane_name(d))
leave(d, lane)
set_status(d, CANCELLED, correlation_of(d), tonumber(ARGV[4]), tonumber(ARGV[5]))
d.reason, d.due = tonumber(ARGV[3]), now
write(d)
ready(lane)
save_all()
return { 'cancelled', d.generation }
