-- SETTLE: records an attempt and moves its delivery on.
-- ARGV: 1 delivery number  2 generation  3 attempt number  4 new status  5 reason  6 HTTP status or 0
--       7 ms until the next attempt (status retrying)  8 attempt as JSON, or '' when there was none and the delivery just ends
--       9 correlation id or ''  10 retention of records, ms  11 retention of bodies, ms
--       12 ms after its due time by which a retry must have moved
-- Returns {status, reason, ms until due, attempts, HTTP status, 1 if this call changed the delivery}: what BullMQ shall be told.
-- Keeps: fenced by generation and attempt, so an attempt counts once however often this is sent, and a worker that
-- lost its lock changes nothing, yet a success that arrives late still makes the delivery delivered. Begins with
-- ZREM, so that a full Redis still drains.
local number, generation, attempt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local status = tonumber(ARGV[4])
redis.call('ZREM', p .. 'watch', '')
local d = read(number)
if not d then return { CANCELLED, 0, 0, 0, 0, 0 } end
local now = now_ms()
local current = d.generation == generation and d.attempts < attempt and (is_open(d.status) or d.status == DEAD)
local late_success = not current and status == DELIVERED and d.status ~= DELIVERED
if not current and not late_success then
  if d.status == CANCELLED and d.generation == generation and d.attempts < attempt and ARGV[8] ~= '' then
    d.attempts, d.code = attempt, tonumber(ARGV[6]) -- made before it was cancelled: part of the record all the same
    redis.call('ZREM', p .. 'watch', int(number))
    redis.call('HSET', p .. 't:' .. d.bucket, d.field .. ':' .. int(attempt), ARGV[8])
    write(d)
  end
  return { d.status, d.reason, int(math.max(0, d.due - now)), d.attempts, d.code, 0 }
end

local first = d.attempts == 0
if ARGV[8] ~= '' then
  d.attempts = math.max(d.attempts, attempt)
  redis.call('HSET', p .. 't:' .. d.bucket, d.field .. ':' .. int(attempt), ARGV[8])
end
d.reason, d.code = tonumber(ARGV[5]), tonumber(ARGV[6])
d.due = status == RETRYING and now + ARGV[7] or now
set_status(d, status, ARGV[9] ~= '' and ARGV[9] or nil, now, tonumber(ARGV[10]), tonumber(ARGV[11]))
if status == RETRYING then
  redis.call('ZADD', p .. 'watch', int(d.due + ARGV[12]), int(number))
else
  redis.call('ZREM', p .. 'watch', int(number))
end
write(d)
if first and has_flag(d.flags, FLAG_WAIT) then
  local channel = redis.call('GET', p .. 'w:' .. int(d.event))
  if channel then redis.call('PUBLISH', channel, p .. int(d.event)) end
end
return { d.status, d.reason, int(math.max(0, d.due - now)), d.attempts, d.code, 1 }
