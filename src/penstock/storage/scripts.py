"""What runs inside the Valkey server: one bucket or one set of slots, read and changed in one step, on the server's own clock."""

from __future__ import annotations

BUCKET = """
-- KEYS[1]: when the bucket will be full again, in Unix seconds. ARGV: tokens a minute, seconds that it holds, what is charged whether
-- it is there or not (negative: given back), the least and the most that is asked for (-1 and 0: nothing).
-- Gives what was granted, and the seconds until the least would be.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local each, holds, charged = 60 / tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local least, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now)) + charged * each
full = math.max(full, now)
local granted, wait = 0, 0
if least >= 0 then
  local free = (now + holds - full) / each + 1e-5
  if free >= least then
    granted = math.max(0, math.min(most, math.floor(free)))
    full = full + granted * each
  else
    wait = full + least * each - now - holds
  end
end
if full > now then
  redis.call('SET', KEYS[1], string.format('%.7f', full), 'PX', math.ceil((full - now) * 1000) + 1000)
else
  redis.call('DEL', KEYS[1])
end
return {granted, string.format('%.6f', wait)}
"""

SLOTS = """
-- KEYS[1]: a hash of what each process occupies, as 'count:until'. ARGV: the process, how many slots there are, how many it occupies,
-- how many more it asks for, and for how many seconds its word holds. Gives how many more it may have.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local occupied, asked, lasts = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if all[at] ~= ARGV[1] then
    local count, till = string.match(all[at + 1], '(%d+):([%d.]+)')
    if tonumber(till) < now then
      redis.call('HDEL', KEYS[1], all[at])
    else
      others = others + tonumber(count)
    end
  end
end
local granted = math.max(0, math.min(asked, tonumber(ARGV[2]) - others - occupied))
local mine = occupied + granted
if mine > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d:%.3f', mine, now + lasts))
  redis.call('PEXPIRE', KEYS[1], math.ceil(lasts * 1000))
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return granted
"""

PRESENT = """
-- KEYS[1]: a sorted set of processes by when their word ends. ARGV: the process, for how many seconds its word holds (0: it leaves).
-- Gives how many there are.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) * 2000))
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
"""
