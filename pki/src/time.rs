//! Instants of certificates: seconds since 1970, and the two ASN.1 forms that carry them (RFC 5280 §4.1.2.5).
//!
//! The current time always comes from the caller as a [`UnixTime`]; nothing here reads a clock.

use std::fmt;

use crate::der::{DerError, Element, tag};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

const DAY: i64 = 86_400;

impl UnixTime {
    /// The instant of a date and a time of day in UTC; `None` where the calendar has no such instant.
    pub fn from_civil(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<Self> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let plausible = (0..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        plausible.then(|| {
            let seconds = hour * 3600 + minute * 60 + second;
            Self(days_from_civil(year, month, day) * DAY + seconds)
        })
    }

    /// Reads a `Time`: UTCTime or GeneralizedTime, in Zulu and with seconds, as RFC 5280 §4.1.2.5.1 and .2 demand.
    pub fn parse(element: Element<'_>) -> Result<Self, DerError> {
        let bad = DerError::Content("Time");
        let (year, rest) = match element.tag {
            tag::UTC_TIME => {
                let (digits, rest) = element.content.split_at_checked(2).ok_or(bad)?;
                let year = number(digits).ok_or(bad)?;
                // RFC 5280 §4.1.2.5.1: YY greater than or equal to 50 is 19YY, else 20YY.
                (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
            }
            tag::GENERALIZED_TIME => {
                let (digits, rest) = element.content.split_at_checked(4).ok_or(bad)?;
                (number(digits).ok_or(bad)?, rest)
            }
            found => return Err(DerError::Unexpected { expected: tag::UTC_TIME, found }),
        };
        month_to_second(year, rest).ok_or(bad)
    }
}

/// `MMDDHHMMSSZ` after a year.
fn month_to_second(year: i64, rest: &[u8]) -> Option<UnixTime> {
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut pairs = digits.chunks_exact(2).map(number);
    let mut pair = || pairs.next().flatten();
    let date = (year, pair()?, pair()?);
    let time = (pair()?, pair()?, pair()?);
    UnixTime::from_civil(date, time)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counted in years that begin in March.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// RFC 3339, as `2026-11-21T02:34:00Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years outside 0000-9999 have no RFC 3339 form; such instants print as seconds.
        if !(-62_167_219_200..253_402_300_800).contains(&self.0) {
            return write!(f, "@{}", self.0);
        }
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::Reader;
    use proptest::prelude::*;

    fn parse(tag: u8, text: &str) -> Result<UnixTime, DerError> {
        let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
        UnixTime::parse(Reader::new(&der).element().unwrap())
    }

    #[test]
    fn reads_both_forms_and_the_century_rule() {
        assert_eq!(parse(tag::UTC_TIME, "700101000000Z"), Ok(UnixTime(0)));
        assert_eq!(parse(tag::UTC_TIME, "491231235959Z"), Ok(UnixTime(2_524_607_999)));
        assert_eq!(parse(tag::UTC_TIME, "500101000000Z"), Ok(UnixTime(-631_152_000)));
        assert_eq!(parse(tag::GENERALIZED_TIME, "20500101000000Z"), Ok(UnixTime(2_524_608_000)));
        assert_eq!(parse(tag::GENERALIZED_TIME, "99991231235959Z"), Ok(UnixTime(253_402_300_799)));
        assert_eq!(
            parse(tag::GENERALIZED_TIME, "20240229120000Z").unwrap().to_string(),
            "2024-02-29T12:00:00Z"
        );
    }

    #[test]
    fn refuses_forms_that_der_certificates_may_not_use() {
        for text in [
            "7001010000Z",
            "700101000000+0000",
            "700101000000",
            "701301000000Z",
            "230229000000Z",
            "700101240000Z",
            "700101006000Z",
            "700101000060Z",
            "70a101000000Z",
            "",
        ] {
            assert!(parse(tag::UTC_TIME, text).is_err(), "{text}");
        }
        assert!(parse(tag::GENERALIZED_TIME, "20240229120000.5Z").is_err());
        assert!(parse(tag::OCTET_STRING, "700101000000Z").is_err());
    }

    proptest! {
        #[test]
        fn civil_dates_round_trip(day in -719_528i64..2_932_896) {
            let (year, month, date) = civil_from_days(day);
            prop_assert_eq!(days_from_civil(year, month, date), day);
            prop_assert_eq!(UnixTime::from_civil((year, month, date), (0, 0, 0)), Some(UnixTime(day * DAY)));
        }

        #[test]
        fn any_instant_prints(seconds in any::<i64>()) {
            prop_assert!(!UnixTime(seconds).to_string().is_empty());
        }
    }
}
