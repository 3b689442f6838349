#!lua flags=allow-oom
-- Gives back leases of one partition that are still held. KEYS[1] meta, KEYS[2…] the leases. ARGV their tokens.
for i, token in ipairs(ARGV) do
  local key = KEYS[i + 1]
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, #token + 1) == token .. ' ' then
    redis.call('DEL', key)
    redis.call('HDEL', KEYS[1], 'holder:' .. string.match(key, ':lease:(.*)$'))
  end
end
return 1
