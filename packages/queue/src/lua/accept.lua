-- ACCEPT: stores an event once and a record for each of its deliveries, all or nothing.
-- ARGV: 1 app (owner number)  2 version of the app's config that the deliveries were matched with
--       3 event number        4 event record  5 body  6 own id or ''  7 correlation id or ''
--       8 channel to tell of first attempts, or ''
--       9 retention of records, ms   10 retention of bodies, ms
--       11 how far the correlation has been counted in a shard that the app has left, or 0
--       12 … the deliveries' records, in order of their numbers, which begin at the event's
-- Returns {'stale'} when the config is newer (nothing is written; match again),
--         {'duplicate', number} when the own id is known,
--         {'accepted', sequence or 0, for each delivery '1' if it was admitted and needs a job, else '0'},
--         {'taken'} when a number is somebody else's (Redis lost what it had given out): take others.
-- Each open delivery is admitted, or waits in its lane (lane.lua), or until it is due.
-- Keeps: an event is stored with all its deliveries or not at all, and never matched against old endpoints. The
-- first write is an HSET, so a Redis that is full refuses it before anything is written.

-- @usual int place owner_of is_open count_open lane_name lane_of encode save shard_flow add_total room save_all
-- @usual window open_at admits_at put_admitted put_waiting enter is_held ready
local FIRST_RECORD = 12
local app, number = ARGV[1], ARGV[3] + 0
local own, correlation = ARGV[6], ARGV[7]
local bucket, field = place(number)
local events = p .. 'e:' .. bucket
local present = redis.call('HMGET', events, field, 'o')
if present[1] == ARGV[4] then -- sent again
  local admitted = {}
  for i = FIRST_RECORD, #ARGV do
    local d = read(int(number + i - FIRST_RECORD))
    admitted[#admitted + 1] = d and d.attempts == 0 and has_flag(d.flags, FLAG_ADMITTED) and '1' or '0'
  end
  return { 'accepted', tonumber(redis.call('HGET', events, field .. 's') or 0), table.concat(admitted) }
end
if present[1] then return { 'taken' } end
if redis.call('HGET', p .. 'cfg:' .. app, 'v') ~= ARGV[2] then return { 'stale' } end
if own ~= '' then
  local known = redis.call('HGET', p .. 'u:' .. app, own)
  if known then return { 'duplicate', known } end
end

-- One command a bucket and an index, however wide the fan-out. Of each bucket: the fields of its records, and last its `o`.
local buckets, open = {}, 0
for i = FIRST_RECORD, #ARGV do
  local name, record_field = place(number + i - FIRST_RECORD)
  local last = buckets[#buckets]
  if not last or last.name ~= name then
    last = { name = name, key = p .. 'd:' .. name, fields = {}, opened = 0 }
    buckets[#buckets + 1] = last
  end
  last.fields[#last.fields + 1] = record_field
  if is_open(string.byte(ARGV[i])) then
    last.opened = last.opened + 1
    open = open + 1
  end
end
for _, b in ipairs(buckets) do
  local most = #b.fields
  b.fields[most + 1] = 'o'
  local found = redis.call('HMGET', b.key, unpack(b.fields))
  for i = 1, most do
    if found[i] then return { 'taken' } end
  end
  b.open = (found[most + 1] or 0) + 0
end

redis.call('HSET', p .. 'b:' .. bucket, field, ARGV[5])
local sequence = 0
local open_events = (present[2] or 0) + open
if correlation ~= '' then
  if ARGV[11] ~= '0' then redis.call('HSETNX', p .. 'k:' .. app .. ':' .. correlation, 'seq', ARGV[11]) end
  sequence = redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, 'seq', '1')
  redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, 'kept', '1')
  redis.call('HSET', events, field, ARGV[4], field .. 's', sequence, 'o', int(open_events))
else
  redis.call('HSET', events, field, ARGV[4], 'o', int(open_events))
end
if own ~= '' then redis.call('HSET', p .. 'u:' .. app, own, ARGV[3]) end
if ARGV[8] ~= '' then redis.call('SET', p .. 'w:' .. ARGV[3], ARGV[8], 'EX', '60') end

-- Gives an open delivery its place. One lane at a time is kept in memory: an event may have 100,000.
local function open_delivery(d, created)
  local lane = lane_of(lane_name(d, ARGV[4]))
  local admitted = false
  if d.due > created and d.due > now then -- deliver_at; our clock and the API's may differ
    put_scheduled(d, lane)
    ready(lane)
  else
    admitted = enter(d, lane, 'q')
  end
  save(lane)
  return admitted
end

local indexed, admitted, by_status = {}, {}, {}
local i = FIRST_RECORD
for _, b in ipairs(buckets) do
  local written = {}
  for f = 1, #b.fields - 1 do
    local n, record = number + i - FIRST_RECORD, ARGV[i]
    local status, flags = string.byte(record, 1, 2)
    local endpoint, created, due = struct.unpack('>I4I6I6', record, 21)
    local member = i == FIRST_RECORD and ARGV[3] or int(n)
    local d = { number = n, member = member, flags = flags, due = due, app = app, endpoint = endpoint }
    i = i + 1
    by_status[status] = (by_status[status] or 0) + 1
    indexed[#indexed + 1], admitted[#admitted + 1] = member, '0'
    if endpoint > 0 then
      redis.call('LPUSH', p .. 'x:' .. owner_of(d), member)
      redis.call('HINCRBY', p .. 'c:' .. owner_of(d), int(status), '1')
    end
    if is_open(status) then
      count_open(status, 1)
      if open_delivery(d, created) then admitted[#admitted] = '1' end
      record = string.char(status, d.flags) .. string.sub(record, 3)
    end
    written[#written + 1], written[#written + 2] = b.fields[f], record
  end
  if b.opened > 0 then
    written[#written + 1], written[#written + 2] = 'o', int(b.open + b.opened)
  elseif b.open <= 0 then
    schedule_drop('d', b.name, now + ARGV[9])
  end
  redis.call('HSET', b.key, unpack(written))
  if b.opened > 0 and b.open <= 0 then look_from(b.name) end
end
save_all()
for status, n in pairs(by_status) do
  redis.call('HINCRBY', p .. 'c:' .. app, int(status), int(n))
  if correlation ~= '' then redis.call('HINCRBY', p .. 'k:' .. app .. ':' .. correlation, int(status), int(n)) end
end
for from = 1, #indexed, 5000 do
  local to = math.min(from + 4999, #indexed)
  redis.call('LPUSH', p .. 'x:' .. app, unpack(indexed, from, to))
  if correlation ~= '' then redis.call('LPUSH', p .. 'kx:' .. app .. ':' .. correlation, unpack(indexed, from, to)) end
end
if open_events == 0 then
  schedule_drop('e', bucket, now + ARGV[9] + 86400000)
  schedule_drop('b', bucket, now + ARGV[10])
end
return { 'accepted', sequence, table.concat(admitted) }
