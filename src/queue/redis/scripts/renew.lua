#!lua flags=allow-oom
-- Prolongs leases. KEYS the leases, ARGV[1] ttl in ms, ARGV[2…] their tokens.
-- Returns 1 for each that is held, else 0.
local held = {}
for i, key in ipairs(KEYS) do
  local token = ARGV[i + 1]
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, #token + 1) == token .. ' ' then
    held[i] = redis.call('PEXPIRE', key, ARGV[1])
  else
    held[i] = 0
  end
end
return held
