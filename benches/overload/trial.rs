//! The server is asked for more than it can do, and held to what it promises.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use benches::load::{OpenLoop, closed_loop};

use crate::house::House;
use crate::{asked, burn};

/// So many times of what it can do.
const TIMES: f64 = 5.0;
/// How soon it is to be as before.
const RECOVERY: Duration = Duration::from_secs(1);
/// What the server may hold in memory, in MiB.
const MOST_RESIDENT: u64 = 256;

/// What is to be so.
struct Promise {
    what: &'static str,
    is_kept: bool,
    /// Whether it depends on how fast the machine is, and on what else that does.
    is_timed: bool,
}

impl Promise {
    fn of(what: &'static str, is_kept: bool) -> Self {
        Self { what, is_kept, is_timed: false }
    }

    fn timed(what: &'static str, is_kept: bool) -> Self {
        Self { what, is_kept, is_timed: true }
    }
}

/// Whether all promises were kept; those of time, where they are asked for.
pub(crate) fn overload(extent: Duration, settings: &[(&str, &str)], is_timed: bool) -> Result<bool, Box<dyn Error>> {
    let house = House::start(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (server, call) = (house.address, asked::call(burn::NAME));
        // The server learns what the tool costs, and fills its caches.
        closed_loop(server, 8, Duration::from_secs(2), &call).await;
        let saturation = closed_loop(server, 16, extent.min(Duration::from_secs(10)), &call).await;
        say(&format!("saturation: {saturation}"));
        if saturation.others() > 0 || saturation.accepted() == 0 {
            return Err("not every call is answered without overload".into());
        }
        let rate = saturation.accepted_a_second() * TIMES;
        let overload = OpenLoop { server, rate, extent };
        let ((overload, drained), health) = tokio::join!(overload.run(|_| call.clone()), asked::health(server, extent));
        say(&format!("{rate:.0} a second for {extent:?}: {overload}"));
        say(&format!("health meanwhile: {health}"));
        let recovered = drained + asked::recovery(server, &call, Duration::from_millis(50)).await?;
        say(&format!("as before after {recovered:.1?}; at most {} MiB resident", house.most_resident()?));
        let promises = [
            Promise::of("some are accepted", overload.accepted() > 0),
            Promise::of("some are refused", overload.refused() > 0),
            Promise::of("nothing else is answered", overload.others() == 0),
            Promise::of("health is answered", health.accepted() > 0 && health.refused() + health.others() == 0),
            Promise::of("memory is bounded", house.most_resident()? <= MOST_RESIDENT),
            Promise::timed(
                "at least 80 % of saturation is accepted",
                overload.accepted_a_second() >= 0.8 * saturation.accepted_a_second(),
            ),
            Promise::timed("with p99 under 100 ms", overload.accepted_within(0.99) < Duration::from_millis(100)),
            Promise::timed("refused with p99 under 10 ms", overload.refused_within(0.99) < Duration::from_millis(10)),
            Promise::timed("as before within a second", recovered <= RECOVERY),
        ];
        let mut all_kept = true;
        for promise in promises.iter().filter(|promise| is_timed || !promise.is_timed) {
            say(&format!("{}  {}", if promise.is_kept { "ok    " } else { "BROKEN" }, promise.what));
            all_kept &= promise.is_kept;
        }
        Ok(all_kept)
    })
}

pub(crate) fn say(line: &str) {
    // Where nobody reads, nobody is told.
    let _ = writeln!(std::io::stdout(), "{line}");
}
