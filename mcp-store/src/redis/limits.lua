-- Takes tokens of a limit: as many as are wanted, or as there are, but none if there are fewer than are needed. What is kept is
-- the time at which all tokens are back, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, needed, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full = interval * burst
-- It may be too far away: under another rate, or by a clock that was set back.
local replete = tonumber(redis.call('GET', KEYS[1]) or '') or now
local debt = math.min(math.max(replete - now, 0), full)
local free = math.floor((full - debt) / interval)
if free < needed then
    return { 0, free, debt, debt + needed * interval - full }
end
local taken = math.min(free, wanted)
debt = debt + taken * interval
redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000))
return { taken, free - taken, debt, 0 }
