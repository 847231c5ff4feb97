-- What wrk does for `scripts/compare full`: it sends the request in a file, each time with another key, another tool and another
-- number in it, and tells as one line of JSON what came back.
--
--   wrk [options] --script full.lua URL -- TEMPLATE-FILE KEYS-FILE

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "tell.lua")

local TOOLS = 20
local keys, parts, number = {}, {}, 0

-- The pieces of a text around two marks in it.
local function split(text, first, second)
    local a, b = text:find(first, 1, true)
    local c, d = text:find(second, b, true)
    return {text:sub(1, a - 1), text:sub(b + 1, c - 1), text:sub(d + 1)}
end

function init(arguments)
    for key in io.lines(arguments[2]) do
        keys[#keys + 1] = key
    end
    local file = assert(io.open(arguments[1], "rb"))
    local template = file:read("*a")
    file:close()
    for tool = 0, TOOLS - 1 do
        parts[tool] = split(template:gsub("{tool}", string.format("%02d", tool)), "{key}", "{number}")
    end
end

function request()
    local key = keys[number % #keys + 1]
    -- Each key calls each tool.
    local part = parts[(number + math.floor(number / #keys)) % TOOLS]
    number = number + 1
    return part[1] .. key .. part[2] .. string.format("%08d", number) .. part[3]
end
