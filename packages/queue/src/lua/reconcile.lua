-- RECONCILE: finds deliveries that should have a job and have none, and jobs that are left of what has ended.
-- ARGV: 1 how many to look at  2 ms until they are looked at again  3 prefix of BullMQ's job keys
-- Returns {how many were looked at, {ids of jobs to be promoted, …}, tickets …}.
-- Keeps: whoever asks, each is handed out once per period, and a job that BullMQ still has is left to BullMQ (a waiting or
-- active job moves by itself; a stalled one BullMQ puts back). One that is delayed although its time has come is promoted:
-- it was delayed by a worker whose clock was ahead. What was admitted gets its job; what waited for its backoff goes back
-- to its lane.
local limit, again, job_prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local orphans, late = {}, {}

local function has_job(d)
  local job = job_prefix .. job_id(d.number, d.generation)
  return redis.call('EXISTS', job) == 1 and redis.call('HEXISTS', job, 'finishedOn') == 0
end

local overdue = redis.call('ZRANGEBYSCORE', p .. 'watch', '-inf', int(now), 'LIMIT', 0, limit)
for _, member in ipairs(overdue) do
  local d = read(member)
  if not d or has_flag(d.flags, FLAG_WAITING) then
    redis.call('ZREM', p .. 'watch', member)
  elseif has_job(d) then -- also of a delivery that has ended: it completes when it runs
    redis.call('ZADD', p .. 'watch', int(now + again), member)
    local job = job_id(d.number, d.generation)
    if redis.call('ZSCORE', job_prefix .. 'delayed', job) then late[#late + 1] = job end
    if has_flag(d.flags, FLAG_DETACHED) then -- that attempt has ended: the job may make another when it comes
      d.flags = without_flag(d.flags, FLAG_DETACHED)
      write(d)
    end
  else
    local lane = lane_of(lane_name(d))
    if not is_open(d.status) then -- its job is gone, or a dead one's retry was removed from Bull Board
      redis.call('ZREM', p .. 'watch', member)
      leave(d, lane)
      write(d)
      ready(lane)
    elseif has_flag(d.flags, FLAG_ADMITTED) then
      -- A new job counts its outcomes from nothing, and an old one's id cannot be used again.
      next_generation(d)
      redis.call('ZADD', p .. 'watch', int(now + again), member)
      write(d)
      orphans[#orphans + 1] = d
    else
      put_back(d, lane, 'r')
    end
  end
end
save_all()
return { #overdue, late, unpack(tickets(orphans)) }
