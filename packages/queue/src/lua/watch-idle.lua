-- WATCH-IDLE: notes up to when endpoints are known to have had deliveries, or that an app has none to watch any more.
-- ARGV: 1 app (owner number)  2 version of the app's config in which they were found
--       3 … endpoint (owner number) and ms epoch, in turn; none: the app has no endpoint that is watched
-- Returns 1, or 0 when the config is newer: nothing is done; look again.
-- Keeps: nothing is noted for an app or endpoint that is deleted, and an app that begins to have such endpoints
-- (WRITE-CONFIG) is not forgotten by who looked before.
local app = ARGV[1]
if redis.call('HGET', p .. 'cfg:' .. app, 'v') ~= ARGV[2] then return 0 end
if #ARGV == 2 then
  redis.call('HDEL', p .. 'idle', app)
  redis.call('UNLINK', p .. 'idle:' .. app)
else
  redis.call('HSET', p .. 'idle:' .. app, unpack(ARGV, 3))
end
return 1
