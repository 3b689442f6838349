#!lua flags=allow-oom
-- Keeps the list of the nodes that are alive. KEYS[1] hash: name → `incarnation joined expires ttl about`, times in ms of
-- this Redis' clock. ARGV[1] name, ARGV[2] incarnation, ARGV[3] ttl in ms, ARGV[4] what the node tells about itself. With
-- ttl 0 the node leaves the list. A record of the same name and another incarnation is left as it is.
-- Returns the clock in ms; 1 if the node was on the list, else 0; then of each that is there: name, incarnation, age in ms, ms
-- that are left to it, about.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttl = tonumber(ARGV[3])
local joined = now
local free = true
local listed = 0
local reply = {}
local records = redis.call('HGETALL', KEYS[1])
for i = 1, #records, 2 do
  local name = records[i]
  local incarnation, since, expires, lasts, about = string.match(records[i + 1], '^(%S+) (%d+) (%d+) (%d+) (.*)$')
  local left = incarnation and tonumber(expires) - now or 0
  -- More is left than it lasts: the clock was set back, and whoever is alive renews it.
  if left <= 0 or left > tonumber(lasts) then
    redis.call('HDEL', KEYS[1], name)
  elseif name == ARGV[1] and incarnation == ARGV[2] then
    joined = tonumber(since)
    listed = 1
  else
    free = free and name ~= ARGV[1]
    reply[#reply + 1] = name
    reply[#reply + 1] = incarnation
    reply[#reply + 1] = string.format('%.0f', now - tonumber(since))
    reply[#reply + 1] = string.format('%.0f', left)
    reply[#reply + 1] = about
  end
end
if ttl == 0 then
  if listed == 1 then
    redis.call('HDEL', KEYS[1], ARGV[1])
  end
elseif free then
  local record = string.format('%s %.0f %.0f %.0f ', ARGV[2], joined, now + ttl, ttl)
  redis.call('HSET', KEYS[1], ARGV[1], record .. ARGV[4])
  reply[#reply + 1] = ARGV[1]
  reply[#reply + 1] = ARGV[2]
  reply[#reply + 1] = string.format('%.0f', now - joined)
  reply[#reply + 1] = string.format('%.0f', ttl)
  reply[#reply + 1] = ARGV[4]
end
return { string.format('%.0f', now), listed, unpack(reply) }
