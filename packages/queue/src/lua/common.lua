-- Shared by all scripts: each is sent with what it uses of this (assemble-script.ts). KEYS[1] is always the shard's prefix,
-- `{sp:N}:`; every other key is made from it, and so lies in the same Redis Cluster slot. KEYS[2] is for that Cluster alone
-- (scripts.ts).
-- What is dear in a script is turning numbers into texts (13 digits cost as much as a command), functions and tables that are
-- made or grow (also by a nil that is put where nothing is), and then commands, each with its arguments and what it returns.
-- So what is a text stays one, what is asked for together is asked for at once, and nil is put only where something is.
local p = KEYS[1]
local BUCKET = 128
local RECORD_BYTES = 63
local LAYOUT = '>BBI2I2I2I2I6I4I4I6I6I2Bc24'
local PENDING, RETRYING, DELIVERED, DEAD, SKIPPED, CANCELLED = 0, 1, 2, 3, 4, 5
local FLAG_WAIT, FLAG_WAITING, FLAG_CORRELATED = 1, 2, 4
local FLAG_ADMITTED, FLAG_HOLDS, FLAG_DETACHED, FLAG_STUCK = 8, 16, 32, 64

-- A clock that is ahead by more than this, ms, is wrong.
local AHEAD = 1000

-- The decimal text of a whole number. `%d` takes a third of the time of `%.0f`, but a C `long` may have 32 bits.
local function int(n)
  if n > -1000000 and n < 1000000 then return string.format('%d', n) end
  if n < 0 then return string.format('%.0f', n) end
  local low = n % 1000000
  return string.format('%d%06d', (n - low) / 1000000, low)
end

-- Bucket and field; the last one's are known: an event often has the number of the delivery looked at.
local placed, placed_bucket, placed_field
local function place(number)
  if number ~= placed then
    local field = number % BUCKET
    placed, placed_bucket, placed_field = number, int((number - field) / BUCKET), int(field)
  end
  return placed_bucket, placed_field
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The record of the delivery with this number, a decimal text (`member`), as a table, or nil; see delivery-record.ts for
-- the fields (`seal`: with its key's id).
local function read(member)
  local number = member + 0
  local bucket, field = place(number)
  local bytes = redis.call('HGET', p .. 'd:' .. bucket, field)
  -- What has another length was not written by us: one bad record must not stop a script for all others.
  if not bytes or #bytes ~= RECORD_BYTES then return nil end
  local status, flags, generation, attempts, job_base, retry_base, event, app, endpoint, created, due, code, reason, seal =
    struct.unpack(LAYOUT, bytes)
  return {
    member = member, number = number, bucket = bucket, field = field, bytes = bytes,
    status = status, flags = flags, generation = generation, attempts = attempts, job_base = job_base,
    retry_base = retry_base, event = event, app = app, endpoint = endpoint, created = created, due = due, code = code,
    reason = reason, seal = seal,
  }
end

local function write(d)
  d.bytes = struct.pack(LAYOUT, d.status, d.flags, d.generation, d.attempts, d.job_base, d.retry_base, d.event, d.app,
    d.endpoint, d.created, d.due, d.code, d.reason, d.seal)
  redis.call('HSET', p .. 'd:' .. d.bucket, d.field, d.bytes)
end

-- The number of its endpoint as a text, which names its counts, its index and its lane.
local function owner_of(d)
  d.owner = d.owner or int(d.endpoint)
  return d.owner
end

local function is_open(status) return status == PENDING or status == RETRYING end

-- flags are few and small: no bit library is needed, which Redis 6.2 and Valkey name differently.
local function has_flag(flags, flag) return flags % (flag * 2) >= flag end
local function without_flag(flags, flag) return has_flag(flags, flag) and flags - flag or flags end

-- A bucket in which nothing is open any more is dropped after its retention (ms); see expire.lua.
local function schedule_drop(kind, bucket, at) redis.call('ZADD', p .. 'expiry', int(at), kind .. ':' .. bucket) end

-- How long what has ended is kept, in ms: `keep` a record, `keep_body` a body.
local function close_one(d, keep, keep_body)
  if redis.call('HINCRBY', p .. 'd:' .. d.bucket, 'o', '-1') <= 0 then schedule_drop('d', d.bucket, now + keep) end
  local bucket = place(d.event)
  if redis.call('HINCRBY', p .. 'e:' .. bucket, 'o', '-1') <= 0 then
    -- After its deliveries; expire.lua waits for those that have younger neighbours.
    schedule_drop('e', bucket, now + keep + 86400000)
    schedule_drop('b', bucket, now + keep_body)
  end
end

-- LOOK finds the oldest open delivery from here on: a bucket that had nothing open has something now.
local function look_from(bucket)
  local first = redis.call('HGET', p .. 'flow', 'fb')
  if tonumber(bucket) < tonumber(first or 0) then redis.call('HSET', p .. 'flow', 'fb', bucket) end
end

local function open_one(d)
  if redis.call('HINCRBY', p .. 'd:' .. d.bucket, 'o', '1') <= 1 then look_from(d.bucket) end
  redis.call('HINCRBY', p .. 'e:' .. (place(d.event)), 'o', '1')
end

-- How many are open in the whole shard, by status; save_all (lane.lua) writes what has changed.
local newly_pending, newly_retrying = 0, 0
local function count_open(status, n)
  if status == PENDING then
    newly_pending = newly_pending + n
  elseif status == RETRYING then
    newly_retrying = newly_retrying + n
  end
end

-- The one way in which a status changes: all its counts move with it.
local function set_status(d, status, correlation, keep, keep_body)
  if status == d.status then return end
  local was, from, to = d.status, int(d.status), int(status)
  local function count(key)
    redis.call('HINCRBY', key, from, '-1')
    redis.call('HINCRBY', key, to, '1')
  end
  d.status = status
  count_open(was, -1)
  count_open(status, 1)
  count(p .. 'c:' .. int(d.app))
  if d.endpoint > 0 then count(p .. 'c:' .. owner_of(d)) end
  if correlation and has_flag(d.flags, FLAG_CORRELATED) then count(p .. 'k:' .. int(d.app) .. ':' .. correlation) end
  if is_open(was) and not is_open(status) then
    close_one(d, keep, keep_body)
  elseif is_open(status) and not is_open(was) then
    open_one(d)
  end
end

local function event_of(d)
  local bucket, field = place(d.event)
  return redis.call('HGET', p .. 'e:' .. bucket, field)
end

-- What scripts read of an event record: its app's number `n`, own id `i`, correlation id `c`, lane of its
-- `webhook_url` `l`, `deliver_at` `da`, how many deliveries `k`.
-- Nothing when it is gone, or was not written by us.
local MOST_DELIVERIES = 100001
local function event_in(text)
  local ok, event = pcall(cjson.decode, text or '')
  if not ok or type(event) ~= 'table' or type(event.n) ~= 'number' then return {} end
  return {
    n = event.n,
    i = type(event.i) == 'string' and event.i or nil,
    c = type(event.c) == 'string' and event.c or nil,
    l = type(event.l) == 'string' and event.l or nil,
    da = tonumber(event.da),
    k = math.min(tonumber(event.k) or 1, MOST_DELIVERIES),
  }
end

local function correlation_of(d)
  return has_flag(d.flags, FLAG_CORRELATED) and event_in(event_of(d)).c or nil
end

-- The job that carries generation `g` of a delivery, as ids.ts formats it.
local DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
local function base32(n, width)
  local text = ''
  for _ = 1, width do
    local digit = n % 32
    text = string.sub(DIGITS, digit + 1, digit + 1) .. text
    n = (n - digit) / 32
  end
  return text
end
-- Of an endpoint that came from another shard with its app, the number tells that shard and its number there: ids.ts.
local GUEST, GUESTS_OF_A_SHARD = 2147483648, 2097152
local function id(kind, number)
  local shard = tonumber(string.match(p, '^{sp:(%d+)}'))
  if kind == 'ep' and number >= GUEST then
    local born = number - GUEST
    number = born % GUESTS_OF_A_SHARD
    shard = (born - number) / GUESTS_OF_A_SHARD
  end
  return kind .. '_' .. base32(shard, 2) .. base32(number, 10)
end
local function job_id(number, generation) return id('dlv', number) .. '-' .. int(generation) end

-- A new job for a delivery: the old one, if BullMQ still has it, becomes stale.
local function next_generation(d)
  d.generation = d.generation % 65535 + 1
  d.job_base = d.attempts
end

-- Whoever waits for an event's first attempts (`Prefer: wait`) is told of one.
local function tell_waiter(d)
  if not has_flag(d.flags, FLAG_WAIT) then return end
  local channel = redis.call('GET', p .. 'w:' .. int(d.event))
  if channel then redis.call('PUBLISH', channel, p .. int(d.event)) end
end

local OUTBOX = 100000
-- What operators are told, through the API's relay. Bounded: while no API runs, what is too much is only
-- counted.
local function tell_operators(kind, app, endpoint, entry)
  if redis.call('LLEN', p .. 'outbox') >= OUTBOX then
    redis.call('INCR', p .. 'outbox:lost')
    return
  end
  entry.i = redis.call('HINCRBY', p .. 'flow', 'ob', '1')
  entry.t, entry.a, entry.e, entry.at = kind, app, endpoint, now
  redis.call('RPUSH', p .. 'outbox', cjson.encode(entry))
end
