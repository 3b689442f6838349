#!lua
-- Records the settings of the installation if there are none, and shows whether Redis takes writes now: without flags,
-- Redis refuses to run it when it is full, read-only or cannot persist. KEYS[1] meta of the installation, ARGV[1] settings.
-- Returns the settings that are recorded.
redis.call('HSETNX', KEYS[1], 'settings', ARGV[1])
return redis.call('HGET', KEYS[1], 'settings')
