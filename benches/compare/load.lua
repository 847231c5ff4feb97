-- What wrk does for scripts/compare: it sends one POST again and again, and tells as one line of JSON what came back.
--
--   wrk [options] --script load.lua URL -- BODY-FILE [NAME VALUE]...

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "tell.lua")

function init(arguments)
    wrk.method = "POST"
    local file = assert(io.open(arguments[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
    for at = 2, #arguments, 2 do
        wrk.headers[arguments[at]] = arguments[at + 1]
    end
end
