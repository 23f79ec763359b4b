-- CLAIM: may this job's delivery be attempted now?
-- ARGV: 1 delivery number  2 generation of the job  3 outcomes that BullMQ has counted for the job (attemptsMade)
--       4 ms within which the attempt must be settled
-- Returns {'run', delivery record, event number, event record, sequence or '', body or false, config version or false}
--         {'settled', status, reason, ms until due, attempts, HTTP status}: that outcome has yet to be put into BullMQ; post nothing
--         {'held'}: the lane takes nothing now; the delivery waits in it without a job
--         {'gone'}: cancelled, ended, carried by another job, or no such delivery: complete the job
-- Keeps: the record decides, not BullMQ's counter. BullMQ has counted each settled attempt of this job (attempts -
-- job_base) unless a worker died in between, so a smaller count means a re-run, an equal one a promotion, a due retry
-- or a retry from Bull Board. Begins with ZREM, so that a full Redis still drains.
local number, generation, counted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREM', p .. 'watch', '')
local d = read(number)
if not d or d.generation ~= generation then return { 'gone' } end
local now = now_ms()
if counted < d.attempts - d.job_base and (d.status == RETRYING or d.status == DEAD) then
  return { 'settled', d.status, d.reason, int(math.max(0, d.due - now)), d.attempts, d.code }
end
if d.status == DELIVERED or d.status == SKIPPED or d.status == CANCELLED then
  redis.call('ZREM', p .. 'watch', int(number)) -- a cancelled one whose worker died: nothing is under way any more
  return { 'gone' }
end
if d.endpoint > 0 and redis.call('HGET', p .. 'lane:' .. int(d.endpoint), 'held') then
  redis.call('ZREM', p .. 'watch', int(number))
  if is_open(d.status) and not has_flag(d.flags, FLAG_WAITING) then
    d.flags = with_flag(d.flags, FLAG_WAITING)
    write(d)
    redis.call('RPUSH', p .. 'q:' .. int(d.endpoint), int(number))
  end
  return { 'held' }
end
redis.call('ZADD', p .. 'watch', int(now + ARGV[4]), int(number))
if is_open(d.status) and d.due > now then -- promoted by hand
  d.due = now
  write(d)
end
if has_flag(d.flags, FLAG_WAITING) then -- held before, and its lane opened: it runs by this job, not by its lane's list
  d.flags = without_flag(d.flags, FLAG_WAITING)
  write(d)
end
local bucket, field = place(d.event)
local event = redis.call('HMGET', p .. 'e:' .. bucket, field, field .. 's')
return { 'run', redis.call('HGET', p .. 'd:' .. d.bucket, d.field), int(d.event), event[1], event[2] or '',
  redis.call('HGET', p .. 'b:' .. bucket, field), redis.call('HGET', p .. 'cfg:' .. int(d.app), 'v') }
