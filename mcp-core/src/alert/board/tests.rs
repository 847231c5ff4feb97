use super::*;
use crate::store::settings::LARGEST;

const STEP: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

/// A board in simulated time, with somebody who listens to all and somebody who is told the worst alone.
struct Watch {
    board: Board,
    now: Timestamp,
    rules: Vec<Rule>,
    listeners: Vec<Listener>,
    /// Who was told what, and of which alert.
    heard: Vec<(String, Event, String)>,
    /// Channels that fail.
    down: Vec<&'static str>,
    tries: usize,
}

fn rule(name: &str, hold: u64) -> Rule {
    Rule::above(name, "too much", name, 10.0, Duration::from_secs(hold), Severity::Critical).clear(8.0)
}

impl Watch {
    fn of(rules: Vec<Rule>) -> Self {
        let listener = |channel: &str, severities: &[Severity]| Listener {
            channel: channel.to_owned(),
            severities: severities.iter().copied().collect(),
        };
        Self {
            board: Board::default(),
            now: Timestamp::from_micros(1_767_225_600_000_000),
            rules,
            listeners: vec![listener("all", &Severity::ALL), listener("worst", &[Severity::Critical])],
            heard: Vec::new(),
            down: Vec::new(),
            tries: 0,
        }
    }

    /// One round in which each rule reads this.
    fn round(&mut self, value: Option<f64>) {
        self.round_of(value.map(|value| vec![Reading { subject: None, value }]));
    }

    fn round_of(&mut self, readings: Readings) {
        self.now = self.now.after(STEP);
        let read: Vec<_> = self.rules.iter().map(|rule| (rule, readings.clone())).collect();
        self.board.tick(STEP, self.now, &read);
        self.tell();
    }

    fn tell(&mut self) {
        let mut failed = BTreeSet::new();
        for due in self.board.due(&self.listeners, 4 * HOUR, "here") {
            if failed.contains(&due.channel) {
                continue;
            }
            self.tries += 1;
            let result = if self.down.contains(&due.channel.as_str()) {
                failed.insert(due.channel.clone());
                Err(DeliveryError::later("it is down"))
            } else {
                self.heard.push((due.channel.clone(), due.notice.event, due.notice.key.clone()));
                Ok(())
            };
            self.board.told(&due, &result, self.now);
        }
    }

    /// What is kept is all that there is after a restart.
    fn restart(&mut self) {
        let kept = serde_json::to_vec(&self.board).unwrap();
        self.board = serde_json::from_slice(&kept).unwrap();
    }

    fn heard_by(&self, channel: &str) -> Vec<Event> {
        self.heard.iter().filter(|(heard, ..)| heard == channel).map(|(_, event, _)| *event).collect()
    }

    fn phases(&self) -> Vec<Phase> {
        self.board.show(&self.listeners).iter().map(|alert| alert.phase).collect()
    }
}

#[test]
fn what_lasts_fires_once_and_is_over_once() {
    let mut watch = Watch::of(vec![rule("load", 60)]);
    for _ in 0..6 {
        watch.round(Some(11.0));
    }
    assert_eq!((watch.phases(), watch.heard.len()), (vec![Phase::Pending], 0), "it has lasted for 50 s");
    for _ in 0..20 {
        watch.round(Some(11.0));
    }
    assert_eq!(
        watch.heard,
        [
            ("all".to_owned(), Event::Firing, "here/load".to_owned()),
            ("worst".to_owned(), Event::Firing, "here/load".to_owned())
        ]
    );
    for _ in 0..20 {
        watch.round(Some(9.0));
    }
    assert_eq!(watch.phases(), [Phase::Firing], "between the two thresholds nothing changes");
    for _ in 0..20 {
        watch.round(Some(8.0));
    }
    assert_eq!(watch.heard_by("worst"), [Event::Firing, Event::Resolved]);
    let over = watch.board.show(&watch.listeners);
    assert_eq!((over.len(), over[0].phase, over[0].untold.len()), (1, Phase::Resolved, 0), "it is shown that it was");
    assert!(over[0].until > Some(over[0].since) && over[0].until < Some(watch.now));
    watch.restart();
    watch.round(Some(11.0));
    assert_eq!(watch.phases(), [Phase::Pending], "and no more, once it begins anew");
}

#[test]
fn of_what_is_over_the_last_are_remembered() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    let reading = |n: usize, value| vec![Reading { subject: Some(format!("{n:02}")), value }];
    for n in 0..REMEMBERED + 4 {
        watch.round_of(Some(reading(n, 11.0)));
        for _ in 0..8 {
            watch.round_of(Some(reading(n, 1.0)));
        }
    }
    let subjects: Vec<_> = watch.board.show(&watch.listeners).into_iter().filter_map(|alert| alert.subject).collect();
    let expected: Vec<_> = (4..REMEMBERED + 4).rev().map(|n| format!("{n:02}")).collect();
    assert_eq!(subjects, expected);
}

#[test]
fn it_is_shown_how_each_channel_is() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.down = vec!["worst"];
    watch.round(Some(11.0));
    let told = watch.now;
    watch.round(Some(11.0));
    let [all, worst] = &watch.board.channels(&watch.listeners)[..] else { panic!("there are two") };
    assert_eq!((all.told, all.failures, all.error.as_deref()), (Some(told), 0, None));
    assert_eq!((worst.told, worst.failures, worst.error.as_deref()), (None, 2, Some("it is down")));
    watch.down.clear();
    for _ in 0..4 {
        watch.round(Some(11.0));
    }
    let worst = &watch.board.channels(&watch.listeners)[1];
    assert!(worst.told > Some(told) && (worst.failures, &worst.error) == (0, &None), "{worst:?}");
    watch.listeners.pop();
    watch.round(Some(11.0));
    assert_eq!(watch.board.channels(&watch.listeners).len(), 1);
}

#[test]
fn a_short_peak_does_not_fire() {
    let mut watch = Watch::of(vec![rule("load", 60)]);
    for _ in 0..50 {
        for _ in 0..5 {
            watch.round(Some(99.0));
        }
        watch.round(Some(1.0));
    }
    assert_eq!((watch.heard.len(), watch.phases()), (0, vec![]));
}

#[test]
fn what_flaps_is_told_once() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    for _ in 0..200 {
        watch.round(Some(11.0));
        watch.round(Some(1.0));
    }
    assert_eq!(watch.heard_by("all"), [Event::Firing]);
}

#[test]
fn what_goes_on_is_told_again_after_the_interval() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    for _ in 0..4 * 360 {
        watch.round(Some(11.0));
    }
    assert_eq!(watch.heard_by("all").len(), 1);
    watch.round(Some(11.0));
    assert_eq!(watch.heard_by("all").len(), 2);
}

#[test]
fn a_channel_that_is_down_for_an_hour_is_told_all_of_it_across_a_restart() {
    let mut watch = Watch::of(vec![rule("load", 0), rule("other", 0)]);
    watch.down = vec!["worst"];
    for n in 0..360 {
        watch.round(Some(11.0));
        if n % 50 == 25 {
            watch.restart();
        }
    }
    assert_eq!((watch.heard_by("all").len(), watch.heard_by("worst").len()), (2, 0));
    let tries = watch.tries - 2;
    assert!((13..=20).contains(&tries), "it is left alone for longer and longer: {tries} tries");
    watch.down.clear();
    for _ in 0..40 {
        watch.round(Some(11.0));
    }
    assert_eq!(watch.heard_by("worst"), [Event::Firing, Event::Firing]);
    assert_eq!(watch.heard_by("all").len(), 2, "who knows is not told again");
}

#[test]
fn who_was_away_while_it_fired_is_told_that_it_is_over() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.down = vec!["worst"];
    for value in [11.0, 1.0] {
        for _ in 0..30 {
            watch.round(Some(value));
        }
    }
    assert_eq!(watch.phases(), [Phase::Resolved], "it is kept as long as somebody does not know");
    watch.restart();
    watch.down.clear();
    for _ in 0..60 {
        watch.round(Some(1.0));
    }
    assert_eq!(watch.heard_by("worst"), [Event::Resolved]);
    assert!(watch.board.alerts.is_empty(), "now everybody knows");
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let mut watch = Watch::of(vec![rule("load", 60)]);
    watch.round(Some(11.0));
    watch.now = watch.now.after(24 * HOUR);
    watch.round(Some(11.0));
    assert_eq!(watch.phases(), [Phase::Pending], "a day of the clock is no day");
    watch.now = watch.now.before(48 * HOUR);
    for _ in 0..6 {
        watch.round(Some(11.0));
    }
    assert_eq!(watch.heard_by("all"), [Event::Firing], "nor is it put off");
}

#[test]
fn where_nothing_can_be_read_all_stays_as_it_is() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.round_of(None);
    assert_eq!(watch.phases(), []);
    watch.round(Some(11.0));
    for _ in 0..50 {
        watch.round_of(None);
    }
    assert_eq!(watch.phases(), [Phase::Firing]);
    for _ in 0..7 {
        watch.round_of(Some(vec![]));
    }
    assert_eq!(watch.heard_by("all"), [Event::Firing, Event::Resolved], "where there is nothing, nothing is wrong");
}

#[test]
fn each_subject_has_an_alert_of_its_own() {
    let mut watch = Watch::of(vec![rule("down", 0)]);
    let read = |redis: f64, postgres: f64| {
        Some(vec![
            Reading { subject: Some("redis".to_owned()), value: redis },
            Reading { subject: Some("postgres".to_owned()), value: postgres },
        ])
    };
    watch.round_of(read(11.0, 1.0));
    watch.round_of(read(11.0, 11.0));
    for _ in 0..7 {
        watch.round_of(read(1.0, 11.0));
    }
    let keys: Vec<_> = watch.heard.iter().filter(|heard| heard.0 == "all").map(|heard| (heard.1, &*heard.2)).collect();
    assert_eq!(
        keys,
        [
            (Event::Firing, "here/down/redis"),
            (Event::Firing, "here/down/postgres"),
            (Event::Resolved, "here/down/redis")
        ]
    );
}

#[test]
fn a_rule_that_is_no_more_is_told_to_be_over() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.round(Some(11.0));
    watch.rules.clear();
    watch.round(Some(11.0));
    assert_eq!(watch.heard_by("all"), [Event::Firing, Event::Resolved]);
}

#[test]
fn what_is_refused_for_good_is_not_tried_again_until_it_is_told_again() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.now = watch.now.after(STEP);
    let read = [(&watch.rules[0].clone(), Some(vec![Reading { subject: None, value: 11.0 }]))];
    watch.board.tick(STEP, watch.now, &read);
    let due = watch.board.due(&watch.listeners, HOUR, "here");
    for due in &due {
        watch.board.told(due, &Err(DeliveryError::refused("no such address")), watch.now);
    }
    assert_eq!(watch.board.due(&watch.listeners, HOUR, "here"), []);
    watch.board.tick(HOUR, watch.now, &read);
    assert_eq!(watch.board.due(&watch.listeners, HOUR, "here").len(), 2);
}

#[test]
fn a_channel_is_left_alone_for_as_long_as_it_asks() {
    let mut watch = Watch::of(vec![rule("load", 0)]);
    watch.listeners.truncate(1);
    watch.down = vec!["all"];
    watch.round(Some(11.0));
    let due = Due { channel: "all".to_owned(), notice: Notice::trial("here", watch.now) };
    let asked = DeliveryError::Later { message: "slowly".to_owned(), after: Some(Duration::from_secs(600)) };
    watch.board.told(&due, &Err(asked), watch.now);
    watch.down.clear();
    for _ in 0..59 {
        watch.round(Some(11.0));
    }
    assert_eq!(watch.heard.len(), 0);
    watch.round(Some(11.0));
    assert_eq!(watch.heard.len(), 1);
}

#[test]
fn one_notice_that_always_fails_does_not_keep_the_others_back() {
    let mut watch = Watch::of(vec![rule("bad", 0), rule("good", 0)]);
    watch.listeners.truncate(1);
    for _ in 0..30 {
        watch.now = watch.now.after(STEP);
        let read: Vec<_> =
            watch.rules.iter().map(|rule| (rule, Some(vec![Reading { subject: None, value: 11.0 }]))).collect();
        watch.board.tick(STEP, watch.now, &read);
        if let Some(due) = watch.board.due(&watch.listeners, HOUR, "here").first().cloned() {
            let is_bad = due.notice.rule == "bad";
            watch.board.told(&due, &if is_bad { Err(DeliveryError::later("no")) } else { Ok(()) }, watch.now);
        }
    }
    let untold: Vec<_> = watch.board.show(&watch.listeners).into_iter().map(|alert| alert.untold.len()).collect();
    assert_eq!(untold, [1, 0]);
}

#[test]
fn what_was_told_while_the_store_was_gone_is_reconciled() {
    let mut kept = Watch::of(vec![rule("load", 0)]);
    let mut alone = Watch::of(vec![rule("load", 0)]);
    alone.round(Some(11.0));
    assert_eq!(alone.heard_by("all"), [Event::Firing]);
    kept.now = alone.now;
    kept.board.absorb(&alone.board);
    for _ in 0..7 {
        kept.round(Some(1.0));
    }
    assert_eq!(kept.heard_by("all"), [Event::Resolved], "it was told once that it fires, and once that it is over");

    // What fires by both is told of once more to those alone who do not know.
    let (mut one, mut other) = (Watch::of(vec![rule("load", 0)]), Watch::of(vec![rule("load", 0)]));
    one.down = vec!["all"];
    other.down = vec!["worst"];
    one.round(Some(11.0));
    other.round(Some(11.0));
    one.board.absorb(&other.board);
    for _ in 0..3 {
        one.round(Some(11.0));
    }
    assert_eq!((one.heard_by("all").len(), one.heard_by("worst").len()), (0, 1));
}

#[test]
fn there_are_no_more_alerts_than_can_be_kept() {
    let rules: Vec<_> = (0..4).map(|n| rule(&format!("{n}{}", "r".repeat(39)), 0)).collect();
    let mut watch = Watch::of(rules);
    watch.listeners = (0..8)
        .map(|n| Listener { channel: format!("{n}{}", "c".repeat(31)), severities: Severity::ALL.into() })
        .collect();
    let readings = (0..MOST)
        .map(|n| Reading { subject: Some(format!("{n:03}{}", "s".repeat(200))), value: 123_456.789 })
        .collect::<Vec<_>>();
    watch.round_of(Some(readings.clone()));
    let read: Vec<_> = watch.rules.iter().map(|rule| (rule, Some(readings.clone()))).collect();
    assert_eq!(watch.board.tick(STEP, watch.now, &read), MOST * 3);
    assert_eq!(watch.phases().len(), MOST);
    assert!(watch.board.show(&watch.listeners).iter().all(|alert| alert.untold.is_empty()));
    for phase in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 123_456.789] {
        let readings = readings.iter().map(|reading| Reading { value: phase, ..reading.clone() }).collect();
        watch.round_of(Some(readings));
    }
    assert_eq!(watch.phases().len(), MOST, "beside them are those that were over, under the same names");
    let kept = serde_json::to_vec(&watch.board).unwrap().len();
    assert!(kept < LARGEST, "{kept} bytes");
}
