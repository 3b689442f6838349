#!lua flags=allow-oom
-- Gives back leases of one partition that are still held. KEYS the leases, ARGV their tokens.
for i, key in ipairs(KEYS) do
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, #ARGV[i] + 1) == ARGV[i] .. ' ' then
    redis.call('DEL', key)
  end
end
return 1
