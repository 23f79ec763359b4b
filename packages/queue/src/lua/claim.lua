-- CLAIM: may this job's delivery be attempted now?
-- ARGV: 1 delivery number  2 generation of the job  3 outcomes that BullMQ has counted for the job (attemptsMade)
--       4 ms within which the attempt must be settled  5 reason of a delivery over its rate limit  6 of one in quiet hours
--       7 retention of records, ms  8 retention of bodies, ms  9 how many others to admit at most  10 the worker's clock, ms
-- Returns {'run', delivery record, event number, event record, sequence or '', body or false, config version or false,
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
local number, generation, counted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREM', p .. 'watch', '')
local d = read(number)
if not d or d.generation ~= generation then return { 'gone' } end
if counted < d.attempts - d.job_base and (d.status == RETRYING or d.status == DEAD) then
  return { 'settled', d.status, d.reason, int(math.max(0, d.due - now)), d.attempts, d.code }
end
if d.status == DELIVERED or d.status == SKIPPED or d.status == CANCELLED then
  redis.call('ZREM', p .. 'watch', int(number)) -- a cancelled one whose worker died: nothing is under way any more
  return { 'gone' }
end
if has_flag(d.flags, FLAG_DETACHED) then
  local ends = tonumber(redis.call('ZSCORE', p .. 'watch', int(number)) or 0)
  if ends > now then return { 'busy', int(ends - now), -1 } end
end

-- BullMQ lets a delayed job go by the clock of whichever worker looks: one that is ahead lets go the retries of all. What
-- such a clock explains is no promotion by hand, though it could be one: it comes when it is due. Until when the job is to
-- be delayed by this worker's clock, so that the one that is ahead lets it go then.
local function let_go_too_soon()
  local early = d.due - now
  if early <= AHEAD or d.status ~= RETRYING or has_flag(d.flags, FLAG_ADMITTED) then return nil end
  local own = tonumber(ARGV[10]) - now
  local ahead = math.max(own, tonumber(redis.call('GET', p .. 'ahead') or 0))
  if ahead <= AHEAD or early > ahead + AHEAD then return nil end
  return early + ahead - own
end
local too_soon = let_go_too_soon()
if too_soon then return { 'busy', int(too_soon), -1 } end

local bucket, field = place(d.event)
local event = redis.call('HMGET', p .. 'e:' .. bucket, field, field .. 's')
local lane = lane_of(lane_name(d, event[1]))
local is_counted = has_flag(d.flags, FLAG_ADMITTED) or has_flag(d.flags, FLAG_HOLDS)

-- Made `ordered` while this one was in BullMQ: an earlier one has gone back to the lane, and goes first.
local function returned_before()
  local first = tonumber(redis.call('LINDEX', p .. 'r:' .. lane.name, 0) or '')
  local before = first and first < number and read(first)
  return before and has_flag(before.flags, FLAG_WAITING)
end

-- Nil when it may run, else 'wait'; or the reason for which it is skipped, and when that ends. What has been attempted, or
-- may have been, is not skipped but comes 'later'.
local function obstacle()
  local opens = open_at(lane)
  if not opens or opens > now then return 'wait' end
  if lane.n > window(lane) or (lane.n == window(lane) and not is_counted) then return 'wait' end
  if lane['or'] and has_flag(d.flags, FLAG_ADMITTED) and returned_before() then return 'wait' end
  if lane.cl and lane.pr ~= number then return 'wait' end
  if is_quiet(lane) then -- `skip`: to `hold` would have closed it above
    return d.attempts > 0 and 'later' or ARGV[6], lane.qu
  end
  local token = lane.rl and token_at(lane, 0) or 0
  if token <= now then return nil end
  if not lane.rs then return 'wait' end
  return (d.attempts > 0 or has_token(lane, d)) and 'later' or ARGV[5], token
end

-- Admits the next ones; the end of every answer.
local function give_way()
  local admitted = tickets(admit(tonumber(ARGV[9])))
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
  redis.call('ZADD', p .. 'watch', int(d.due + ARGV[4]), int(number))
  write(d)
  ready(lane)
  return { 'busy', int(d.due - now), give_way() }
end
if stops == 'wait' then
  put_back(d, lane, 'r')
  return { 'held', give_way() }
end
if stops then
  leave(d, lane)
  redis.call('ZREM', p .. 'watch', int(number))
  set_status(d, SKIPPED, correlation_of(d), tonumber(ARGV[7]), tonumber(ARGV[8]))
  d.reason, d.due = tonumber(stops), now
  tell_waiter(d)
  write(d)
  ready(lane)
  return { 'skipped', d.reason, give_way() }
end

-- From now on it has a slot: it keeps its lane's place, and frees the shard's for the next one.
local was, probes = d.flags, lane.pr == number
leave(d, lane)
if probes then lane.pr = number end
if not is_counted then take_pace(lane) end
put_holding(d, lane)
redis.call('ZADD', p .. 'watch', int(now + ARGV[4]), int(number))
if lane.rl then take_token(lane, d) end
-- Its window is wider again, or it waited for this claim.
if has_flag(was, FLAG_STUCK) or lane.rl then ready(lane) end
local promoted = is_open(d.status) and d.due > now -- by hand
if promoted then d.due = now end
if promoted or d.flags ~= was then write(d) end
return { 'run', d.bytes, int(d.event), event[1], event[2] or '',
  redis.call('HGET', p .. 'b:' .. bucket, field), redis.call('HGET', p .. 'cfg:' .. int(d.app), 'v'), int(lane.avg or 0),
  give_way() }
