-- EXPIRE: drops buckets in which nothing has been open for the retention, and what points into them.
-- ARGV: 1 how many buckets at most
-- Returns how many were looked at.
-- Keeps: a bucket with an open delivery is never dropped (`o` counts them; closing the last one schedules the drop),
-- and counts by status speak only of records that exist.
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', p .. 'expiry', '-inf', int(now), 'LIMIT', 0, tonumber(ARGV[1]))

local function drop_deliveries(bucket)
  local owners = {}
  local fields = redis.call('HGETALL', p .. 'd:' .. bucket)
  for i = 1, #fields, 2 do
    if fields[i] ~= 'o' then
      local bytes = fields[i + 1]
      local status = string.byte(bytes, 1)
      local app, endpoint = struct.unpack('>I4I4', bytes, 17)
      redis.call('HINCRBY', p .. 'c:' .. int(app), status, -1)
      owners[int(app)] = true
      if endpoint > 0 then
        redis.call('HINCRBY', p .. 'c:' .. int(endpoint), status, -1)
        owners[int(endpoint)] = true
      end
    end
  end
  redis.call('UNLINK', p .. 'd:' .. bucket, p .. 't:' .. bucket)
  -- Lists are nearly in order of age: what is gone stands at the end, or is passed over until it does.
  for owner in pairs(owners) do
    for _ = 1, BUCKET * 2 do
      local last = redis.call('LINDEX', p .. 'x:' .. owner, -1)
      if not last then
        redis.call('DEL', p .. 'c:' .. owner)
        break
      end
      local b, f = place(tonumber(last))
      if redis.call('HEXISTS', p .. 'd:' .. b, f) == 1 then break end
      redis.call('RPOP', p .. 'x:' .. owner)
    end
  end
end

local function drop_events(bucket)
  local correlations = {}
  local fields = redis.call('HGETALL', p .. 'e:' .. bucket)
  for i = 1, #fields, 2 do
    if string.match(fields[i], '^%d+$') then
      local event = cjson.decode(fields[i + 1])
      if event.i then redis.call('HDEL', p .. 'u:' .. event.n, event.i) end
      if event.c then correlations[event.n .. ':' .. event.c] = true end
    end
  end
  redis.call('UNLINK', p .. 'e:' .. bucket)
  -- A correlation lives, and counts on, as long as its newest event.
  for name in pairs(correlations) do
    local last = redis.call('HGET', p .. 'k:' .. name, 'last')
    local b, f = place(tonumber(last or 0))
    if redis.call('HEXISTS', p .. 'e:' .. b, f) == 0 then redis.call('DEL', p .. 'k:' .. name, p .. 'kx:' .. name) end
  end
end

for _, member in ipairs(due) do
  local kind, bucket = string.match(member, '^(%a):(%d+)$')
  local open = redis.call('HGET', p .. (kind == 'd' and 'd:' or 'e:') .. bucket, 'o')
  if tonumber(open or 0) <= 0 then
    if kind == 'd' then
      drop_deliveries(bucket)
    elseif kind == 'e' then
      drop_events(bucket)
    else
      redis.call('UNLINK', p .. 'b:' .. bucket)
    end
  end
  redis.call('ZREM', p .. 'expiry', member)
end
return #due
