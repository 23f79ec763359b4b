-- SETTLE: records an attempt, moves its delivery on, teaches its lane, and admits what now has room.
-- ARGV: 1 delivery number  2 generation  3 attempt number  4 new status  5 reason  6 HTTP status or 0
--       7 attempt as JSON, or '' when there was none, and nothing is to be told of why it ends
--       8 what the attempt says of the receiver: 'success', 'failure' (timeout, network, 5xx), 'overload' (429), 'answer'
--         (any other status), or '' when nothing was posted  9 ms that it took
--       10 retention of records, ms  11 retention of bodies, ms; and, of all but a plain success:
--       12 correlation id or ''  13 ms until the next attempt (status retrying)
--       14 ms for which the receiver asks not to be sent anything, or 0  15 ms of failures after which an endpoint is disabled
--       16 a random number, 0 to 1
-- Returns {status, reason, ms until due, attempts, HTTP status, 1 if this call changed the delivery or is one that did, sent
--          again after its answer was lost, 1 if it waits in its lane again, 1 if the endpoint is to be disabled, ms until a
--          lane is to be woken, tickets …}.
-- Keeps: fenced by generation and attempt, so an attempt counts once however often this is sent, and a worker that
-- lost its lock changes nothing, yet a success that arrives late still makes the delivery delivered. Begins with
-- ZREM, so that a full Redis still drains.

-- @usual int place read write owner_of is_open has_flag close_one count_open set_status lane_name lane_of encode save
-- @usual shard_flow add_total room save_all leave admit is_held ready until_wake
local DUE_WITHIN = 30000 -- ms after it is due in which a retry must have moved, or its job is looked for
local member, generation, attempt = ARGV[1], ARGV[2] + 0, ARGV[3] + 0
local status, says = ARGV[4] + 0, ARGV[8]
local correlation = ARGV[12] ~= '' and ARGV[12] or nil
local watch = p .. 'watch'
redis.call('ZREM', watch, '')
local d = read(member)
if not d then return { CANCELLED, 0, 0, 0, 0, 0, 0, 0, -1 } end
local current = d.generation == generation and d.attempts < attempt and (is_open(d.status) or d.status == DEAD)
local late_success = not current and status == DELIVERED and d.status ~= DELIVERED
if not current and not late_success then
  if d.status == CANCELLED and d.generation == generation and d.attempts < attempt and ARGV[7] ~= '' then
    d.attempts, d.code = attempt, tonumber(ARGV[6]) -- made before it was cancelled: part of the record all the same
    redis.call('ZREM', watch, member)
    redis.call('HSET', p .. 't:' .. d.bucket, d.field .. ':' .. ARGV[3], ARGV[7])
    write(d)
    return { d.status, d.reason, 0, d.attempts, d.code, 0, 0, 0, -1 }
  end
  -- The last attempt's record tells whose settlement it was. A cancelled one was ended, and counted, by who cancelled it.
  local again = ARGV[7] ~= '' and d.status ~= CANCELLED and d.attempts == attempt
    and redis.call('HGET', p .. 't:' .. d.bucket, d.field .. ':' .. ARGV[3]) == ARGV[7]
  return { d.status, d.reason, math.max(0, d.due - now), d.attempts, d.code, again and 1 or 0, 0, 0, -1 }
end
local lane = lane_of(lane_name(d))
local probing, in_flight = lane.pr == d.number, lane.n
local disable = 0

local PROBE_FIRST, PROBE_MOST = 30000, 600000
local CLOSE_DELIVERIES, CLOSE_MS = 5, 5000
local REMOVED_WITHIN = 5000

local function learn_success()
  if lane.cl then reopen(lane, d.app, 'success') end
  if lane.rv then tell_operators('endpoint.recovered', d.app, d.endpoint, { since = lane.rv }) end
  if lane.fs or lane.fd or lane.rv then lane.fs, lane.fd, lane.rv = nil end
  local size = lane.w or FIRST_WINDOW
  if in_flight * 2 >= size then
    lane.w = math.min(lane.mc or MOST_AT_ONCE, size + (lane.ca and 1 / size or 1))
  end
  local took = ARGV[9] + 0
  lane.avg = lane.avg and lane.avg + (took - lane.avg) / 8 or took
end

-- Makes its own functions, which a success has no use for.
local function learn_trouble()
  -- 30 s doubling to 10 min, a quarter more or less.
  local function probe_later()
    lane.po = math.min(PROBE_MOST, lane.po and lane.po * 2 or PROBE_FIRST)
    lane.pa = math.floor(now + lane.po * (0.75 + ARGV[16] / 2))
  end

  -- Once a window: what began before the last halving says nothing new (RFC 5681 §3.1's flight, by time).
  local function halve()
    if lane.cut and now - ARGV[9] < lane.cut then return end
    lane.w, lane.ca, lane.cut = math.max(1, (lane.w or FIRST_WINDOW) / 2), 1, now
  end

  local function failed()
    local list, known = {}, false
    for other in string.gmatch(encode(lane.fd or ''), '%d+') do
      list[#list + 1] = other
      known = known or other == member
    end
    if not known and #list < CLOSE_DELIVERIES then list[#list + 1] = member end
    lane.fd = table.concat(list, ',')
    if lane.cl then
      if probing then probe_later() end
    elseif #list >= CLOSE_DELIVERIES and now - lane.fs >= CLOSE_MS and not lane['or'] then
      lane.cl = now
      probe_later()
      tell_operators('lane.closed', d.app, d.endpoint, { since = lane.fs })
    end
  end

  lane.fs = lane.fs or now
  if says ~= 'answer' then halve() end
  if says == 'failure' then
    failed()
  elseif lane.cl and probing then -- it works, though it does not take this
    local since = lane.fs
    reopen(lane, d.app, 'answer')
    lane.fs = since
  end
  if d.endpoint > 0 and now - lane.fs >= tonumber(ARGV[15]) then disable = 1 end
end

local first, detached = d.attempts == 0, has_flag(d.flags, FLAG_DETACHED)
if ARGV[7] ~= '' then
  if attempt > d.attempts then d.attempts = attempt end
  redis.call('HSET', p .. 't:' .. d.bucket, d.field .. ':' .. ARGV[3], ARGV[7])
end
d.reason, d.code = ARGV[5] + 0, ARGV[6] + 0
local holds = lane['or'] and status == RETRYING and d.endpoint > 0
-- A failed probe uses up no retry, and the next one is another delivery.
local spared = lane.cl and probing and says == 'failure'
if lane.rl then
  local posted = says ~= '' or d.code > 0
  if posted then date_token(lane, d, attempt) else give_back(lane, d, attempt) end
end
leave(d, lane)
if says == 'success' then
  learn_success()
elseif says ~= '' and has_lane(lane, d) then
  learn_trouble()
end
local hold = says ~= '' and tonumber(ARGV[14]) or 0
if hold > 0 and has_lane(lane, d) then lane.nb = math.max(lane.nb or 0, now + hold) end
if spared then
  d.retry_base = d.retry_base + 1
  if status == DEAD then d.reason = 0 end -- it was the last retry's that it is dead
  set_status(d, RETRYING, correlation, ARGV[10], ARGV[11])
  put_back(d, lane, 'q')
else
  d.due = status == RETRYING and now + ARGV[13] or now
  set_status(d, status, correlation, ARGV[10], ARGV[11])
  if status == RETRYING then
    redis.call('ZADD', watch, int(d.due + DUE_WITHIN), member)
    if holds then put_holding(d, lane) end
  elseif detached then
    -- Its job is delayed, and removed next. A worker that dies now may have had a clock hours ahead: RECONCILE looks.
    redis.call('ZADD', watch, int(now + REMOVED_WITHIN), member)
  else
    redis.call('ZREM', watch, member)
  end
  if status == DEAD then
    tell_operators('delivery.dead', d.app, d.endpoint, { d = d.number, r = d.reason, n = d.attempts })
  end
  write(d)
  ready(lane)
end
if first and has_flag(d.flags, FLAG_WAIT) then tell_waiter(d) end
local admitted = admit(MOST_ADMITTED)
if #admitted > 0 then admitted = tickets(admitted) end
save_all()
return { d.status, d.reason, d.due > now and d.due - now or 0, d.attempts, d.code, 1, spared and 1 or 0, disable,
  until_wake(), unpack(admitted) }
