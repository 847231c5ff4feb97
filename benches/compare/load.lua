-- What wrk does for scripts/compare: it sends one POST again and again, and tells as one line of JSON what came back.
--
--   wrk [options] --script load.lua URL -- BODY-FILE [NAME VALUE]...

function init(arguments)
    wrk.method = "POST"
    local file = assert(io.open(arguments[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
    for at = 2, #arguments, 2 do
        wrk.headers[arguments[at]] = arguments[at + 1]
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"micros": %d, "requests": %d, "bytes": %d, "refused": %d, "broken": %d, "late": %d, "p50": %d, "p99": %d}\n',
        summary.duration, summary.requests, summary.bytes, errors.status, errors.connect + errors.read + errors.write,
        errors.timeout, latency:percentile(50), latency:percentile(99)))
end
