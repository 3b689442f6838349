#!lua
-- Judges frames of one partition in order, pushes those that follow to the list of every sink, and records their places.
-- KEYS[1] streams, KEYS[2] meta, KEYS[3…] as many lists as ARGV[6] says; then, if frames are kept apart, for each list where. At the
-- first of these places they are already, one after the other, and expire there unless this script keeps them: Lua reads every byte
-- of a string that it is given or makes, so what is large never comes here.
-- ARGV[1] the settings of the node.
-- ARGV[2] streams, each: 32 bytes hex, 16 bytes raw, u8 length, producer.
-- ARGV[3] 8 random bytes, whose last bit says whether frames are kept apart, then the runs: frames of one stream that follow one
-- another. Each 23 bytes: u16 number of the stream from 1, u64 seq and u32 prev of its first, u8 kind, u32 count, u32 crc of what
-- the check of each element covers.
-- ARGV[4] the frames, each 8 bytes: u32 length, u32 crc.
-- ARGV[5] the bytes of all frames, one after the other; of one that is kept apart (kind 2) u32 offset and u32 length there.
-- ARGV[6] the number of lists.
-- Returns 21 bytes for each stretch of frames that were not appended: u32 number of its first from 0, u32 count, u8 verdict (1
-- duplicate, 2 gap, 3 mismatch, 4 owned by other), u64 seq and u32 crc of what is stored. An error, having done nothing, when the
-- large frames have expired.
-- No flags: Redis refuses this script, and only this one, when it is out of memory.
local meta = redis.call('HMGET', KEYS[2], 'settings', 'ordinal', 'time')
if meta[1] and meta[1] ~= ARGV[1] then
  return redis.error_reply('MISMATCH ' .. meta[1])
end
local ordinal = tonumber(meta[2] or 0)
local now = redis.call('TIME')
local time = math.max(tonumber(now[1]) * 1000000 + tonumber(now[2]), tonumber(meta[3] or 0))
local timeWords = math.floor(time / 4294967296) + time % 4294967296

local streams = {}
local records = {}
local at = 1
while at <= #ARGV[2] do
  local hex, raw, length
  hex, raw, length, at = struct.unpack('>c32c16B', ARGV[2], at)
  local producer = string.sub(ARGV[2], at, at + length - 1)
  at = at + length
  local record = records[hex]
  if not record then
    local text = redis.call('HGET', KEYS[1], hex)
    if text then
      local seq, crc, owner = string.match(text, '^(%d+) (%d+) %d+ (.*)$')
      if not seq then
        return redis.error_reply('FORMAT ' .. hex)
      end
      record = { seq = tonumber(seq), crc = tonumber(crc), owner = owner }
    else
      record = { seq = 0, crc = 0 }
    end
    records[hex] = record
  end
  streams[#streams + 1] = { record = record, producer = producer, tail = raw .. string.char(length) .. producer }
end

local runs, frames, contents = ARGV[3], ARGV[4], ARGV[5]
local lists = tonumber(ARGV[6])
local random = string.sub(runs, 1, 8)
local pushed = {}
local bytes = 0
local isApart = false
local refused = {}

-- The next frame: its number, and where it is.
local first, contentAt = 0, 1
at = 9
while at <= #runs do
  local number, seq, prev, kind, count, check
  number, seq, prev, kind, count, check, at = struct.unpack('>HI8I4c1I4I4', runs, at)
  local stream = streams[number]
  local record = stream.record
  local foreign = record.owner and record.owner ~= stream.producer
  -- So many frames at the head of the run are stored already.
  local known = foreign and 0 or math.min(math.max(record.seq + 1 - seq, 0), count)
  if known > 0 then
    seq = seq + known
    prev = struct.unpack('>I4', frames, (first + known) * 8 - 3)
  end

  local verdict = 0
  if foreign then
    verdict = 4
  elseif seq > record.seq + 1 then
    verdict = 2
  elseif known < count and prev ~= record.crc then
    verdict = 3
  end
  if known > 0 or verdict > 0 then
    local from = first
    local judged = verdict == 0 and 0 or verdict == 3 and 1 or count - known
    -- What comes after a mismatch leaves a gap.
    for _, stretch in ipairs({ { known, 1 }, { judged, verdict }, { verdict == 3 and count - known - 1 or 0, 2 } }) do
      if stretch[1] > 0 then
        refused[#refused + 1] = struct.pack('>I4I4BI8I4', from, stretch[1], stretch[2], record.seq, record.crc)
        from = from + stretch[1]
      end
    end
  end

  local tail = random .. kind .. stream.tail
  for i = first, first + count - 1 do
    local length = struct.unpack('>I4', frames, i * 8 + 1)
    if verdict == 0 and i >= first + known then
      ordinal = ordinal + 1
      local sum = (check + timeWords + math.floor(ordinal / 4294967296) + ordinal % 4294967296) % 4294967296
      -- A part of a string is read once more.
      local content = length == #contents and contents or string.sub(contents, contentAt, contentAt + length - 1)
      local element = struct.pack('>BI4I8I8', 178, sum, time, ordinal) .. tail .. content
      pushed[#pushed + 1] = element
      bytes = bytes + #element
      if kind == string.char(2) then
        bytes = bytes + struct.unpack('>I4', contents, contentAt + 4)
        isApart = true
      end
    end
    contentAt = contentAt + length
  end
  if verdict == 0 and known < count then
    record.seq = seq + count - known - 1
    record.crc = struct.unpack('>I4', frames, (first + count) * 8 - 3)
    record.owner = stream.producer
    record.ordinal = ordinal
  end
  first = first + count
end
if contentAt ~= #contents + 1 then
  return redis.error_reply('ERR the frames do not have the lengths that are named')
end

local block = KEYS[3 + lists]
if isApart then
  if redis.call('PERSIST', block) == 0 then
    return redis.error_reply('ERR the large frames expired before they were appended')
  end
  for i = 2, lists do
    redis.call('COPY', block, KEYS[2 + lists + i])
  end
elseif block then
  redis.call('DEL', block)
end

if #pushed > 0 then
  for i = 3, 2 + lists do
    redis.call('RPUSH', KEYS[i], unpack(pushed))
    redis.call('HINCRBY', KEYS[2], 'bytes:' .. string.match(KEYS[i], ':list:(.*)$'), string.format('%.0f', bytes))
  end
  local changed = {}
  for hex, record in pairs(records) do
    if record.ordinal then
      changed[#changed + 1] = hex
      changed[#changed + 1] = string.format('%.0f %.0f %.0f %s', record.seq, record.crc, record.ordinal, record.owner)
    end
  end
  redis.call('HSET', KEYS[1], unpack(changed))
  redis.call('HSET', KEYS[2], 'settings', ARGV[1], 'ordinal', string.format('%.0f', ordinal), 'time', string.format('%.0f', time))
end
return table.concat(refused)
