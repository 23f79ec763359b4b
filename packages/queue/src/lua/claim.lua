-- CLAIM: may this job's delivery be attempted now?
-- ARGV: 1 delivery number  2 generation of the job  3 outcomes that BullMQ has counted for the job (attemptsMade)
--       4 retention of records, ms  5 retention of bodies, ms  6 the worker's clock, ms
-- Returns {'run', delivery record, event record, sequence or '', body or false, config version or false,
--          average ms of the lane's attempts, ms until a lane is to be woken, tickets …}
--         {'settled', status, reason, ms until due, attempts, HTTP status}: that outcome has yet to be put into BullMQ; post nothing
--         {'busy', ms, ms until a lane is to be woken, tickets …}: ask again then: another worker's attempt is under way, or a
--          retry meets a limit, or quiet hours, by which first attempts are skipped; or a wrong clock has let it go too soon
--         {'held', ms until a lane is to be woken, tickets …}: not now: the delivery waits in its lane, and the job is of
--          no use any more
--         {'skipped', reason, ms until a lane is to be woken, tickets …}: the delivery has ended
--         {'gone'}: cancelled, ended, carried by another job, or no such delivery: complete the job
-- Keeps: the record decides, not BullMQ's counter. BullMQ has counted each settled attempt of this job (attempts -
-- job_base) unless a worker died in between, so a smaller count means a re-run, an equal one a promotion, a due retry
-- or a retry from Bull Board. Nothing runs that its lane does not let run now. Begins with ZREM, so that a full Redis
-- still drains.

-- @usual int place read write owner_of is_open has_flag lane_name lane_of encode save shard_flow add_total room save_all
-- @usual window open_at leave put_holding admit until_wake
-- @usual admits_at put_admitted take_next tickets event_of is_held ready
local CLAIMED_WITHIN = 330000 -- ms in which an attempt must be settled (the longest timeout is 300 s), or its job is looked for
local member, generation, counted = ARGV[1], ARGV[2] + 0, ARGV[3] + 0
local watch = p .. 'watch'
redis.call('ZREM', watch, '')
local d = read(member)
if not d or d.generation ~= generation then return { 'gone' } end
if counted < d.attempts - d.job_base and (d.status == RETRYING or d.status == DEAD) then
  return { 'settled', d.status, d.reason, math.max(0, d.due - now), d.attempts, d.code }
end
if d.status == DELIVERED or d.status == SKIPPED or d.status == CANCELLED then
  redis.call('ZREM', watch, member) -- a cancelled one whose worker died: nothing is under way any more
  return { 'gone' }
end
if has_flag(d.flags, FLAG_DETACHED) then
  local ends = tonumber(redis.call('ZSCORE', watch, member) or 0)
  if ends > now then return { 'busy', ends - now, -1 } end
end

-- BullMQ lets a delayed job go by the clock of whichever worker looks: one that is ahead lets go the retries of all. What
-- such a clock explains is no promotion by hand, though it could be one: it comes when it is due. Until when the job is to
-- be delayed by this worker's clock, so that the one that is ahead lets it go then.
local early = d.due - now
if early > AHEAD and d.status == RETRYING and not has_flag(d.flags, FLAG_ADMITTED) then
  local own = ARGV[6] - now
  local ahead = math.max(own, tonumber(redis.call('GET', p .. 'ahead') or 0))
  if ahead > AHEAD and early <= ahead + AHEAD then return { 'busy', early + ahead - own, -1 } end
end

local bucket, field = place(d.event)
local event, sequence
if has_flag(d.flags, FLAG_CORRELATED) then
  local found = redis.call('HMGET', p .. 'e:' .. bucket, field, field .. 's')
  event, sequence = found[1], found[2]
else
  event = redis.call('HGET', p .. 'e:' .. bucket, field)
end
local lane = lane_of(lane_name(d, event))
local is_counted = has_flag(d.flags, FLAG_ADMITTED) or has_flag(d.flags, FLAG_HOLDS)

-- Nil when it may run, else 'wait'; or the reason for which it is skipped, and when that ends. What has been attempted, or
-- may have been, is not skipped but comes 'later'.
local function obstacle()
  local opens = open_at(lane)
  if not opens or opens > now then return 'wait' end
  if lane.n > window(lane) or (lane.n == window(lane) and not is_counted) then return 'wait' end
  if lane['or'] and has_flag(d.flags, FLAG_ADMITTED) then
    -- Made `ordered` while this one was in BullMQ: an earlier one has gone back to the lane, and goes first.
    local first = redis.call('LINDEX', p .. 'r:' .. lane.name, '0')
    local before = first and tonumber(first) < d.number and read(first)
    if before and has_flag(before.flags, FLAG_WAITING) then return 'wait' end
  end
  if lane.cl and lane.pr ~= d.number then return 'wait' end
  if lane.qh and is_quiet(lane) then -- `skip`: to `hold` would have closed it above
    return d.attempts > 0 and 'later' or REASON_QUIET_HOURS, lane.qu
  end
  local token = lane.rl and token_at(lane, 0) or 0
  if token <= now then return nil end
  if not lane.rs then return 'wait' end
  return (d.attempts > 0 or has_token(lane, d)) and 'later' or REASON_RATE_LIMITED, token
end

-- Admits the next ones; the end of every answer.
local function give_way()
  local admitted = admit(MOST_ADMITTED)
  if #admitted > 0 then admitted = tickets(admitted) end
  save_all()
  return until_wake(), unpack(admitted)
end

local stops, ends = obstacle()
if stops and d.status == DEAD then -- from Bull Board: one attempt more, when the lane lets it
  set_status(d, RETRYING, correlation_of(d), 0, 0)
end
if stops == 'later' then
  leave(d, lane)
  if lane['or'] then put_holding(d, lane) end
  d.due = math.floor(ends)
  redis.call('ZADD', watch, int(d.due + CLAIMED_WITHIN), member)
  write(d)
  ready(lane)
  return { 'busy', d.due - now, give_way() }
end
if stops == 'wait' then
  put_back(d, lane, 'r')
  return { 'held', give_way() }
end
if stops then
  leave(d, lane)
  redis.call('ZREM', watch, member)
  set_status(d, SKIPPED, correlation_of(d), tonumber(ARGV[4]), tonumber(ARGV[5]))
  d.reason, d.due = stops, now
  tell_waiter(d)
  write(d)
  ready(lane)
  return { 'skipped', d.reason, give_way() }
end

-- From now on it has a slot: it keeps its lane's place, and frees the shard's for the next one.
local was, probes = d.flags, lane.pr == d.number
leave(d, lane)
if probes then lane.pr = d.number end
if lane.rl and not is_counted then take_pace(lane) end
put_holding(d, lane)
redis.call('ZADD', watch, int(now + CLAIMED_WITHIN), member)
if lane.rl then take_token(lane, d) end
-- Its window is wider again, or it waited for this claim.
if has_flag(was, FLAG_STUCK) or lane.rl then ready(lane) end
local promoted = is_open(d.status) and d.due > now -- by hand
if promoted then d.due = now end
if promoted or d.flags ~= was then write(d) end
return { 'run', d.bytes, event, sequence or '', redis.call('HGET', p .. 'b:' .. bucket, field),
  redis.call('HGET', p .. 'cfg:' .. int(d.app), 'v'), lane.avg or 0, give_way() }
