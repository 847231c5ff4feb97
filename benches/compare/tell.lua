-- What the scripts for wrk beside this one share: what came back, as one line of JSON.

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"micros": %d, "requests": %d, "bytes": %d, "refused": %d, "broken": %d, "late": %d, "p50": %d, "p99": %d}\n',
        summary.duration, summary.requests, summary.bytes, errors.status, errors.connect + errors.read + errors.write,
        errors.timeout, latency:percentile(50), latency:percentile(99)))
end
