-- Lanes: flow control of one endpoint; shared, after common.lua, by the scripts that move deliveries.
--
--   a delivery                                      a lane
--
--            ACCEPT, RETRY                               5 deliveries failed, no success for 5 s
--           /             \                          open ─────────────────────────────────────▶ closed
--          ▼   room        ▼                           ▲   a probe succeeds, resume, new URL        │
--      WAITING ─────▶ ADMITTED ── CLAIM ──▶ HOLDS      └────────────────────────────────────────────┘
--     (q r y s)     (n, flow in)  │  ▲     (n) │       in both: paused, disabled, quiet, held by Retry-After
--          ▲                      │  │         │ SETTLE
--          └─────── not now ──────┘  │ CLAIM   ├──▶ ended
--                                    │         ▼
--                                    └── backoff (BullMQ's delayed job; `ordered`: it HOLDS, so that none overtakes)
-- A lane of an app that has moved here (`mv`) sends nothing until what waits in the shard it came from has gone out.
--
-- A delivery's flags say in which of these it is, and every move goes through `leave` and one of `put_*`, so that the
-- counts of its lane (`n`, `q`, `sc`) and of the shard (`flow in`) move with it. Keeps: nothing is admitted while the
-- lane's `n` is at its window, or the lane is paused, disabled, quiet, held or closed (but for one probe).
-- A lane with `q` > 0 that may admit stands in `ring` or `fresh` (`rg`), one that may later in `wake` (`z`); else
-- whatever changes it calls `ready`.
local MOST_AT_ONCE = 32
local FIRST_WINDOW, SMALL_WINDOW = 4, 2
local ADMITTED_WITHIN = 5000 -- ms after which what is admitted and not claimed is looked for
local MOST_IN_VAIN = 50 -- turns in which nothing is admitted, in one call
local IDLE_ORIGIN = 3600000 -- ms after which what was learned of a webhook_url's origin is forgotten

local LONGEST_HELD = 259200000 -- ms, 72 h: until a worker has told what is configured

local lanes = {}

-- The name of a delivery's lane: its endpoint's number, or app and origin of a `webhook_url`.
local function lane_name(d, event)
  if d.endpoint > 0 then return owner_of(d) end
  return d.app .. '.' .. (event_in(event or event_of(d)).l or '')
end

-- All fields but `qh` and `fd` are numbers: what is none was not written by us.
local function lane_of(name)
  local known = lanes[name]
  if known then return known end
  local stored = {}
  local lane = { name = name, stored = stored, n = 0, q = 0, sc = 0, sk = 0 }
  local fields = redis.call('HGETALL', p .. 'lane:' .. name)
  for i = 1, #fields, 2 do
    local field = fields[i]
    local value = tonumber(fields[i + 1]) or (field == 'qh' or field == 'fd') and fields[i + 1] or nil
    lane[field], stored[field] = value or lane[field], value
  end
  lanes[name] = lane
  return lane
end

local function encode(value)
  if type(value) ~= 'number' then return value end
  return value % 1 == 0 and int(value) or string.format('%.3f', value)
end

-- Writes what has changed; the table is of no use afterwards. What was learned of a lane that is idle and well is
-- dropped, and so is the lane, unless it has settings: it starts small again, as RFC 5681 §4.1 has it for idle
-- connections.
local function save(lane)
  if lane.n <= 0 then lane.n = nil end
  if lane.q <= 0 then lane.q = nil end
  if lane.sc <= 0 then lane.sc = nil end
  if lane.sd and not lane.sc then lane.sd = nil end
  if lane.sk <= 0 then lane.sk = nil end
  if not lane.n and not lane.q and not lane.sc and not lane.fs and not lane.cl and not lane.rv then
    if lane.w or lane.ca or lane.cut then lane.w, lane.ca, lane.cut = nil end
    if lane.avg then lane.avg = nil end
    if lane.rc or lane.ac then lane.rc, lane.ac = nil end
    if lane.sk then lane.sk = nil end
    if lane.pr or lane.xa or lane.u then lane.pr, lane.xa, lane.u = nil end
    if lane.ta and lane.ta <= now then lane.ta = nil end
  end
  if lane.nb and lane.nb <= now then lane.nb = nil end
  local name, stored, set, del = lane.name, lane.stored, {}, {}
  -- Also when its next probe is set: so the set heals if an older version closed it.
  if lane.cl and (not stored.cl or lane.pa ~= stored.pa) then
    redis.call('SADD', p .. 'closed', name)
  elseif stored.cl and not lane.cl then
    redis.call('SREM', p .. 'closed', name)
  end
  lane.name, lane.stored, lanes[name] = nil
  for field, value in pairs(lane) do
    if value ~= stored[field] then set[#set + 1], set[#set + 2] = field, encode(value) end
  end
  for field in pairs(stored) do
    if lane[field] == nil then del[#del + 1] = field end
  end
  if stored.q and not lane.q then
    redis.call('UNLINK', p .. 'q:' .. name, p .. 'r:' .. name, p .. 'y:' .. name) -- old entries at most
  end
  if #del > 0 then redis.call('HDEL', p .. 'lane:' .. name, unpack(del)) end
  if #set > 0 then redis.call('HSET', p .. 'lane:' .. name, unpack(set)) end
end

-- What is admitted and not yet claimed, over all lanes, is at most as much as the live workers have slots: with what has a
-- slot, BullMQ's queue holds twice the slots at most. And how long a held delivery may wait.
local flow
local function shard_flow()
  if not flow then
    local values = redis.call('HMGET', p .. 'flow', 'slots', 'in')
    flow = { slots = (values[1] or 0) + 0, total = (values[2] or 0) + 0, delta = 0 }
  end
  return flow
end
local function add_total(n)
  shard_flow()
  flow.total, flow.delta = flow.total + n, flow.delta + n
end
local function room() return shard_flow().slots - flow.total end
local function held_age() return tonumber(redis.call('HGET', p .. 'flow', 'age') or LONGEST_HELD) end

-- Ends every script that moved a delivery.
local function save_all()
  for _, lane in pairs(lanes) do save(lane) end
  local key = p .. 'flow'
  if flow and flow.delta ~= 0 then redis.call('HINCRBY', key, 'in', int(flow.delta)) end
  if newly_pending ~= 0 then redis.call('HINCRBY', key, 'pe', int(newly_pending)) end
  if newly_retrying ~= 0 then redis.call('HINCRBY', key, 're', int(newly_retrying)) end
  if flow then flow.delta = 0 end
  newly_pending, newly_retrying = 0, 0
end

local function window(lane)
  if lane['or'] then return 1 end
  local size, most = lane.w or FIRST_WINDOW, lane.mc or MOST_AT_ONCE
  if size > most then size = most end
  if lane.sk > 0 and size > SMALL_WINDOW then size = SMALL_WINDOW end
  return size < 1 and 1 or size - size % 1
end

local function is_held(lane) return lane.ps or lane.off or lane.cl end
local function held_since(lane) return math.min(lane.ps or now, lane.off or now, lane.cl or now) end

-- Rate limit. `tok` is the log of the lane's last attempts, by the latest time at which they can have reached the receiver:
-- an answer's, or until there is one, a little after the start. The next one waits until the `rl`-th of them from the end
-- is a period old, so that the receiver never counts more, unless the way to it takes longer than that. `u` counts those
-- that are admitted and have yet to take their token. Limits of one a second and more are
-- also spread evenly at admission (a generic cell rate algorithm, ITU-T I.371, 2.5 % below the limit, so that the log is
-- rarely full), since a receiver is not helped by bursts; slower ones may be used up at once.
local function transit(lane) return math.max(100, math.min(1000, math.ceil(lane.rp / 20))) end
local function pace(lane)
  local interval = lane.rp / lane.rl
  return interval <= 1000 and interval * 1.025 or nil
end
-- `ahead`: how many others will take a token before.
local function token_at(lane, ahead)
  local place = lane.rl - 1 - ahead
  local last = redis.call('ZREVRANGE', p .. 'tok:' .. lane.name, place, place, 'WITHSCORES')
  return last[2] and last[2] + lane.rp + 1 or 0
end
local function token_of(d) return d.member .. ':' .. int(d.attempts + 1) end
local function has_token(lane, d) return redis.call('ZSCORE', p .. 'tok:' .. lane.name, token_of(d)) end
local function take_pace(lane)
  local interval = not lane.rs and pace(lane)
  if interval then lane.ta = math.max(now, lane.ta or 0) + interval end
end
local function take_token(lane, d)
  local key, member = p .. 'tok:' .. lane.name, token_of(d)
  local lost = has_token(lane, d) -- the same attempt, whose worker died: the receiver may have had it
  if lost then redis.call('ZADD', key, lost, member .. ':' .. int(tonumber(lost))) end
  redis.call('ZADD', key, int(now + transit(lane)), member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', int(now - lane.rp - 1))
  redis.call('PEXPIRE', key, int(lane.rp * 2))
end
-- The attempt has been answered: it has reached the receiver.
local function date_token(lane, d, attempt)
  redis.call('ZADD', p .. 'tok:' .. lane.name, 'XX', 'LT', int(now), d.member .. ':' .. int(attempt))
end

-- Nothing was posted: as if it had not been admitted. A token that it lost to a dead worker stays.
local function give_back(lane, d, attempt)
  redis.call('ZREM', p .. 'tok:' .. lane.name, d.member .. ':' .. int(attempt))
  local interval = not lane.rs and pace(lane)
  if interval and lane.ta then lane.ta = lane.ta - interval end
end

-- Quiet hours come from a worker that knows time zones; a period that has passed says nothing of the next.
local function quiet_unknown(lane) return not lane.qu or now >= lane.qu end
local function is_quiet(lane) return lane.qf and lane.qf <= now and now < lane.qu end

-- When time alone lets the lane send: 0 for now, or ms; false when something else must happen first.
local function open_at(lane)
  if lane.ps or lane.off or lane.mv then return false end
  local at = lane.nb or 0
  if lane.qh then
    if quiet_unknown(lane) then return now + 1 end
    if is_quiet(lane) and not lane.qs then at = math.max(at, lane.qu) end
  end
  return at
end

-- When the lane may admit one more: as above.
local function admits_at(lane)
  local at = open_at(lane)
  if not at or lane.n >= window(lane) then return false end
  if lane.cl then
    if lane.pr then return false end
    at = math.max(at, lane.pa or 0)
  end
  if lane.rl and not lane.rs then
    local interval, unclaimed = pace(lane), lane.u or 0
    if unclaimed >= lane.rl then return false end
    at = math.max(at, token_at(lane, unclaimed), interval and lane.ta and math.floor(lane.ta - 2 * interval) or 0)
  end
  return at
end

local function is_idle(lane) return lane.n <= 0 and lane.q <= 0 and lane.sc <= 0 end

-- The lane of a `webhook_url`'s origin: no settings, and none may ever use it again.
local function is_origin(lane) return string.find(lane.name, '.', 1, true) end
local function endpoint_of(lane) return is_origin(lane) and 0 or tonumber(lane.name) end

-- ms until the first lane is to be woken of those that this call has put to sleep, -1: none. PUMP tells of all.
local wakes_at
local function until_wake() return wakes_at and math.max(0, wakes_at - now) or -1 end

-- Puts the lane where the next turn or the right time finds it.
local function ready(lane, list)
  local opens = lane.q > 0 and not lane.rg and admits_at(lane)
  if opens and opens <= now then
    redis.call('RPUSH', p .. (list or 'ring'), lane.name)
    lane.rg = 1
  end
  local at = math.huge
  if lane.qh then at = math.min(at, lane.qu or now) end
  if opens and opens > now then at = math.min(at, opens) end
  if lane.sc > 0 then at = math.min(at, lane.sd or now) end
  if lane.q > 0 and is_held(lane) then
    lane.xa = lane.xa or held_since(lane) + held_age()
    at = math.min(at, lane.xa)
  elseif lane.xa then
    lane.xa = nil
  end
  if lane.nb and lane.nb > now and is_idle(lane) then
    at = math.min(at, lane.nb)
  elseif (lane.fs or lane.cl or lane.rv) and is_origin(lane) and is_idle(lane) then
    at = math.min(at, lane.z or now + IDLE_ORIGIN)
  end
  at = at < math.huge and math.floor(at) or nil
  if at == lane.z then return end
  if at then
    redis.call('ZADD', p .. 'wake', int(at), lane.name)
    wakes_at = math.min(wakes_at or at, at)
  else
    redis.call('ZREM', p .. 'wake', lane.name)
  end
  lane.z = at
end

-- An endpoint that was deleted meanwhile has no lane any more.
local function has_lane(lane, d)
  return d.endpoint == 0 or lane.fs or redis.call('HEXISTS', p .. 'cfg:' .. int(d.app), id('ep', d.endpoint)) == 1
end

-- Forgets that the lane failed, and lets it begin anew with a small window. `by`: what opened it. Until it has a success,
-- `rv` says since when its endpoint has not recovered.
local function reopen(lane, app, by)
  if lane.cl then
    tell_operators('lane.opened', app, endpoint_of(lane), { since = lane.cl, by = by })
    lane.w, lane.rv = SMALL_WINDOW, lane.rv or lane.fs or lane.cl
  end
  lane.cl, lane.po, lane.pa, lane.pr, lane.fs, lane.fd, lane.ca, lane.nb = nil
end
