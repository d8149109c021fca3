//! Groups the list of chats by date.

use jiff::{Timestamp, ToSpan, ZonedDateTime};

use super::Chat;

/// Chats under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<'c> {
    /// "Pinned", "Today", "Yesterday", "Previous 7 days", "Previous 30 days", or a month such as "May" or "May 2024".
    pub heading: String,
    /// Its chats, in the order in which they were given.
    pub chats: Vec<&'c Chat>,
}

/// Groups chats, the latest first, by the date of their last message in the time zone of `now`. Pinned chats come first,
/// whatever their date.
pub fn group_by_date<'c>(chats: impl IntoIterator<Item = &'c Chat>, now: &ZonedDateTime) -> Vec<Group<'c>> {
    // The start of the day that many days ago, in milliseconds since 1970.
    let day = |ago: i64| {
        let date = now.date().checked_sub(ago.days()).and_then(|date| date.to_zoned_datetime(now.time_zone().clone()));
        date.map_or(i64::MIN, |start| start.timestamp().as_millisecond())
    };
    let headings =
        [(day(0), "Today"), (day(1), "Yesterday"), (day(7), "Previous 7 days"), (day(30), "Previous 30 days")];
    let (pinned, rest): (Vec<&Chat>, Vec<&Chat>) = chats.into_iter().partition(|chat| chat.pinned);
    let mut groups = Vec::new();
    if !pinned.is_empty() {
        groups.push(Group { heading: "Pinned".into(), chats: pinned });
    }
    // When the last group starts. Finding the group of every chat would take too long for a list that is drawn again with
    // every frame.
    let mut start = None;
    for chat in rest {
        match groups.last_mut() {
            Some(last) if start.is_some_and(|start| chat.updated >= start) => last.chats.push(chat),
            _ => {
                let recent = headings.iter().find(|(start, _)| chat.updated >= *start);
                let (from, heading) =
                    recent.map_or_else(|| month(chat.updated, now), |(start, heading)| (*start, (*heading).to_owned()));
                start = Some(from);
                groups.push(Group { heading, chats: vec![chat] });
            }
        }
    }
    groups
}

/// When a time's month starts, in milliseconds since 1970, and its name, with the year if it is not the present one.
fn month(milliseconds: i64, now: &ZonedDateTime) -> (i64, String) {
    // An import may contain any number.
    let Ok(time) = Timestamp::from_millisecond(milliseconds) else { return (i64::MIN, "Earlier".into()) };
    let time = time.to_zoned_datetime(now.time_zone().clone());
    let start = time.first_of_month().and_then(|day| day.start_of_day());
    let heading = time.strftime(if time.year() == now.year() { "%B" } else { "%B %Y" }).to_string();
    (start.map_or(milliseconds, |start| start.timestamp().as_millisecond()), heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> ZonedDateTime {
        text.parse().unwrap()
    }

    fn chat(updated: i64, pinned: bool) -> Chat {
        Chat { updated, pinned, ..Chat::new() }
    }

    fn headings(chats: &[Chat], now: &ZonedDateTime) -> Vec<(String, usize)> {
        group_by_date(chats, now).into_iter().map(|group| (group.heading, group.chats.len())).collect()
    }

    #[test]
    fn chats_are_grouped_by_local_days() {
        // Local midnight is not midnight in UTC, and the clocks changed two days before.
        let now = at("2026-03-31T00:30:00[Europe/Berlin]");
        let times = [
            "2026-04-01T09:00:00[Europe/Berlin]",
            "2026-03-31T00:00:00[Europe/Berlin]",
            "2026-03-30T23:59:59[Europe/Berlin]",
            "2026-03-30T00:00:00[Europe/Berlin]",
            "2026-03-29T23:00:00[Europe/Berlin]",
            "2026-03-24T00:00:00[Europe/Berlin]",
            "2026-03-23T23:00:00[Europe/Berlin]",
            "2026-03-01T00:00:00[Europe/Berlin]",
            "2026-02-28T23:00:00[Europe/Berlin]",
            "2026-01-05T00:00:00[Europe/Berlin]",
            "2025-03-31T00:30:00[Europe/Berlin]",
        ];
        let mut chats: Vec<Chat> =
            times.iter().map(|time| chat(at(time).timestamp().as_millisecond(), false)).collect();
        chats.push(chat(at(times[9]).timestamp().as_millisecond(), true));
        let expected = [
            ("Pinned", 1),
            ("Today", 2),
            ("Yesterday", 2),
            ("Previous 7 days", 2),
            ("Previous 30 days", 2),
            ("February", 1),
            ("January", 1),
            ("March 2025", 1),
        ];
        assert_eq!(headings(&chats, &now), expected.map(|(heading, count)| (heading.to_owned(), count)));
    }

    #[test]
    fn the_chats_of_a_month_are_one_group() {
        let now = at("2026-03-31T00:30:00[Europe/Berlin]");
        let times = ["2026-01-31T23:59:59", "2026-01-15T12:00:00", "2026-01-01T00:00:00", "2025-12-31T23:59:59"];
        let chats = times.map(|time| {
            let time = at(&format!("{time}[Europe/Berlin]"));
            chat(time.timestamp().as_millisecond(), false)
        });
        let expected = [("January", 3), ("December 2025", 1)];
        assert_eq!(headings(&chats, &now), expected.map(|(heading, count)| (heading.to_owned(), count)));
    }

    #[test]
    fn impossible_times_have_a_heading() {
        let now = at("2026-03-31T00:30:00[UTC]");
        let chats = [chat(i64::MAX, false), chat(0, false), chat(i64::MIN, false)];
        let expected = [("Today", 1), ("January 1970", 1), ("Earlier", 1)];
        assert_eq!(headings(&chats, &now), expected.map(|(heading, count)| (heading.to_owned(), count)));
        assert!(headings(&[], &now).is_empty());
    }
}
