#!lua flags=allow-oom
-- Takes a lease. KEYS[1] lease. ARGV[1] token, ARGV[2] holder, ARGV[3] ttl in ms, ARGV[4] 'steal' or 'wait'.
-- Returns the holder in the way, or nil when the lease is taken.
local lease = redis.call('GET', KEYS[1])
if lease and ARGV[4] == 'wait' and string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  return string.match(lease, ' (.*)$')
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return nil
