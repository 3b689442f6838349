#!lua flags=allow-oom
-- Takes a lease. KEYS[1] lease, KEYS[2] meta. ARGV[1] token, ARGV[2] holder, ARGV[3] ttl in ms, ARGV[4] 'steal', 'take' or
-- 'wait'. Returns 0, the holder in the way and the ms that are left to it; or 1 and the holder before, if it was another and
-- did not give the lease back, else ''. A node that steals is alone, and neither asks nor tells who was before.
local lease = redis.call('GET', KEYS[1])
if lease and ARGV[4] == 'wait' and string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  local left = redis.call('PTTL', KEYS[1])
  -- No lease lasts longer than a minute, or than ours: the clock of Redis was set back, and nobody renews this one.
  if left <= 60000 or left <= (tonumber(ARGV[3]) or 0) then
    return { 0, string.match(lease, ' (.*)$') or '', left }
  end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
if ARGV[4] == 'steal' then
  return { 1, '' }
end
local field = 'holder:' .. string.match(KEYS[1], ':lease:(.*)$')
local before = redis.call('HGET', KEYS[2], field)
redis.call('HSET', KEYS[2], field, ARGV[2])
if before and before ~= ARGV[2] then
  return { 1, before }
end
return { 1, '' }
