-- RETRY: one more run of an ended delivery, asked for by hand: attempts go on counting, the retry budget begins anew.
-- ARGV: 1 delivery number  2 app (owner number)  3 ms until it must have moved
-- Returns {'retry', generation, event number, event record, endpoint number, generation before},
--         {'open'}: it is under way already, {'running'}: ended, but an attempt of it has not,
--         {'expired'}: the body is gone, {'deleted'}: app or endpoint is,
--         {'exhausted'}: as many attempts as can be counted, {'missing'}.
-- Keeps: an open delivery is never given a second job.
local number = tonumber(ARGV[1])
local d = read(number)
if not d or int(d.app) ~= ARGV[2] then return { 'missing' } end
if is_open(d.status) then return { 'open' } end
local now = now_ms()
if tonumber(redis.call('ZSCORE', p .. 'watch', int(number)) or 0) > now then
  return { 'running' } -- SETTLE of an end takes it from `watch`: only a claim stands there
end
local config = p .. 'cfg:' .. ARGV[2]
if redis.call('HEXISTS', config, 'app') == 0
  or (d.endpoint > 0 and redis.call('HEXISTS', config, id('ep', d.endpoint)) == 0) then
  return { 'deleted' }
end
local bucket, field = place(d.event)
if redis.call('HEXISTS', p .. 'b:' .. bucket, field) == 0 then return { 'expired' } end
if d.attempts >= 65000 then return { 'exhausted' } end
local before = d.generation
set_status(d, d.attempts == 0 and PENDING or RETRYING, correlation_of(d), now, 0, 0)
next_generation(d)
d.retry_base, d.due = d.attempts, now
d.flags = without_flag(d.flags, FLAG_WAITING)
d.reason = 0
redis.call('ZADD', p .. 'watch', int(now + ARGV[3]), int(number))
write(d)
return { 'retry', d.generation, int(d.event), event_of(d), int(d.endpoint), before }
