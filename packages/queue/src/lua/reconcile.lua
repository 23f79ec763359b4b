-- RECONCILE: finds deliveries that should have a job and have none, and lets open lanes go on.
-- ARGV: 1 how many of each to look at  2 ms until they are looked at again  3 prefix of BullMQ's job keys
-- Returns how many were looked at, then the deliveries to enqueue, flat: number, generation, event number, event record, endpoint number, …
-- Keeps: whoever asks, each is handed out once per period, and a job that BullMQ still has is left to BullMQ (a
-- waiting, delayed or active job moves by itself; a stalled one BullMQ puts back).
local limit, again, job_prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local out = { 0 }

local function hand_out(d)
  redis.call('ZADD', p .. 'watch', int(now + again), int(d.number))
  write(d)
  for _, value in ipairs({ int(d.number), d.generation, int(d.event), event_of(d) or '', int(d.endpoint) }) do
    out[#out + 1] = value
  end
end

local overdue = redis.call('ZRANGEBYSCORE', p .. 'watch', '-inf', int(now), 'LIMIT', 0, limit)
out[1] = #overdue
for _, member in ipairs(overdue) do
  local d = read(tonumber(member))
  if not d or not is_open(d.status) or has_flag(d.flags, FLAG_WAITING) then
    redis.call('ZREM', p .. 'watch', member)
  else
    local job = job_prefix .. job_id(d.number, d.generation)
    if redis.call('EXISTS', job) == 0 then
      -- A new job counts its outcomes from nothing, and so must the record.
      if d.attempts > d.job_base then next_generation(d) end
      hand_out(d)
    elseif redis.call('HEXISTS', job, 'finishedOn') == 1 then
      next_generation(d)
      hand_out(d)
    else
      redis.call('ZADD', p .. 'watch', int(now + again), member)
    end
  end
end

for _, endpoint in ipairs(redis.call('SRANDMEMBER', p .. 'ring', 16)) do
  for _ = 1, limit do
    local member = redis.call('LPOP', p .. 'q:' .. endpoint)
    if not member then
      redis.call('SREM', p .. 'ring', endpoint)
      break
    end
    out[1] = out[1] + 1
    local d = read(tonumber(member))
    -- Without the flag it is an old entry: the delivery has gone another way since.
    if d and has_flag(d.flags, FLAG_WAITING) then
      d.flags = without_flag(d.flags, FLAG_WAITING)
      if is_open(d.status) then
        next_generation(d)
        hand_out(d)
      else
        write(d)
      end
    end
  end
end
return out
