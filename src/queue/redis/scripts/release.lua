#!lua flags=allow-oom
-- Gives back leases that are still held. KEYS lease and meta of one after the other, ARGV their tokens.
for i, token in ipairs(ARGV) do
  local key = KEYS[2 * i - 1]
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, #token + 1) == token .. ' ' then
    redis.call('DEL', key)
    redis.call('HDEL', KEYS[2 * i], 'holder:' .. string.match(key, ':lease:(.*)$'))
  end
end
return 1
