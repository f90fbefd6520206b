//! What outlives the process: a directory of our own with secrets that a restarted gateway needs. The gateway runs
//! without it, and then cannot do what they are for.
//!
//! The directory is locked while the process lives. Two gateways that run with one crash-detection secret would give
//! out each other's tokens, which nobody may see while the IKE SA is there (RFC 6290 §9.2).
//!
//! Of the keys of tickets (RFC 5723) the older of the two in use is kept, from which the others follow; what is kept is
//! moved on at each start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ravelin_ike::crypto::{CrashSecret, TicketKeys};
use zeroize::Zeroizing;

use crate::secret_directory::{self, Problem, Readers, SecretDirectory};

/// The file of the crash-detection secret.
const CRASH_SECRET: &str = "crash-secret";
/// The file of the keys of tickets.
const TICKET_KEY: &str = "ticket-key";
/// Octets of a secret.
const SECRET: usize = 32;
/// Octets of a ticket key with the number of its period before it.
const NUMBERED: usize = 4 + SECRET;

/// The directory, ours alone until this is dropped.
#[derive(Debug)]
pub struct State {
    directory: SecretDirectory,
}

/// Why nothing is kept. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct StateError {
    /// The directory or file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl State {
    /// Takes the directory, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be had, others may change it, or another process has it.
    pub fn open(path: &Path) -> Result<State, StateError> {
        let told = |problem| StateError { path: path.to_owned(), problem };
        Ok(State { directory: SecretDirectory::open(path).map_err(told)? })
    }

    /// The crash-detection secret: the one that is kept, or else `fresh`, kept from now on.
    ///
    /// # Errors
    /// When it cannot be read or kept, or others may read it.
    pub fn crash_secret(&self, fresh: Zeroizing<[u8; SECRET]>) -> Result<CrashSecret, StateError> {
        let path = self.directory.file(CRASH_SECRET);
        let secret = match read(&path) {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => self.directory.write(CRASH_SECRET, fresh.as_slice()).map(|()| fresh),
            Err(problem) => Err(problem),
        };
        secret.map(CrashSecret::new).map_err(|problem| StateError { path, problem })
    }

    /// The keys of tickets: what follows from the one that is kept, or else from `fresh`; kept from now on. `time` is that of
    /// the day, since 1970.
    ///
    /// # Errors
    /// When it cannot be read or kept, or others may read it.
    pub fn ticket_keys(
        &self,
        fresh: Zeroizing<[u8; SECRET]>,
        time: Duration,
    ) -> Result<TicketKeys, StateError> {
        let path = self.directory.file(TICKET_KEY);
        let keys = read(&path).map(|kept| match kept.as_deref().and_then(numbered) {
            Some((period, key)) => TicketKeys::new(period, key, time),
            None => TicketKeys::new(TicketKeys::period_before(time), fresh, time),
        });
        let kept = keys.and_then(|keys| {
            let (period, key) = keys.kept();
            let mut octets = Zeroizing::new([0; NUMBERED]);
            let numbered = period.to_be_bytes().into_iter().chain(key.iter().copied());
            octets.iter_mut().zip(numbered).for_each(|(to, from)| *to = from);
            self.directory.write(TICKET_KEY, octets.as_slice()).map(|()| keys)
        });
        kept.map_err(|problem| StateError { path, problem })
    }
}

/// Period and key.
fn numbered(octets: &[u8; NUMBERED]) -> Option<(u32, Zeroizing<[u8; SECRET]>)> {
    let (period, key) = octets.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*period), Zeroizing::new(*key.first_chunk::<SECRET>()?)))
}

/// The secret in a file, if the file is there.
fn read<const N: usize>(path: &Path) -> Result<Option<Zeroizing<[u8; N]>>, Problem> {
    let Some(octets) = secret_directory::read(path, N, Readers::Owner)? else { return Ok(None) };
    let secret = octets.as_slice().try_into().map_err(|_| Problem::Length(N))?;
    Ok(Some(Zeroizing::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::wire::IkeSpi;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn secret(state: &State, octet: u8) -> Result<CrashSecret, StateError> {
        state.crash_secret(Zeroizing::new([octet; SECRET]))
    }

    fn problem<T>(result: Result<T, StateError>) -> String {
        result.err().map(|error| error.problem.to_string()).unwrap_or_default()
    }

    /// What was drawn first stays, for whoever has the directory next, and is for us alone.
    #[test]
    fn the_secret_is_kept() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("var/state");
        let first = secret(&State::open(&path).unwrap(), 1).unwrap();
        assert!(first == CrashSecret::new(Zeroizing::new([1; SECRET])));
        let again = secret(&State::open(&path).unwrap(), 2).unwrap();
        assert!(again.token(IkeSpi(1), IkeSpi(2)).is(first.token(IkeSpi(1), IkeSpi(2)).octets()));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(CRASH_SECRET))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }

    /// Keys that are kept open what they sealed, a day later too; a later key is kept then, and the first is nowhere.
    #[test]
    fn keys_of_tickets_are_kept_and_moved_on() {
        let base = tempfile::tempdir().unwrap();
        let state = State::open(base.path()).unwrap();
        let begin = |octet, days: u32| {
            state.ticket_keys(Zeroizing::new([octet; SECRET]), TicketKeys::PERIOD * days).unwrap()
        };
        let first = begin(1, 20_000);
        let file = base.path().join(TICKET_KEY);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let written = std::fs::read(&file).unwrap();
        let ticket = first.seal(b"x", &mut |out: &mut [u8]| out.fill(7)).unwrap();
        for (octet, days, is_good) in [(2, 20_000, true), (3, 20_001, true), (4, 20_002, false)] {
            assert_eq!(begin(octet, days).open(&ticket).is_some(), is_good, "{days}");
        }
        assert!(!std::fs::read(&file).unwrap().windows(SECRET).any(|key| key == &written[4..]));
        std::fs::write(&file, [0; 35]).unwrap();
        assert!(problem(state.ticket_keys(Zeroizing::new([1; SECRET]), Duration::ZERO)).contains("36 bytes"));
    }

    /// One process at a time has it.
    #[test]
    fn a_second_process_does_not_get_it() {
        let base = tempfile::tempdir().unwrap();
        let first = State::open(base.path()).unwrap();
        assert!(problem(State::open(base.path())).contains("another ravelind"));
        drop(first);
        assert!(State::open(base.path()).is_ok());
    }

    /// A secret that others may know, or that is none, is not used, and not overwritten.
    #[test]
    fn what_others_may_have_seen_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join(CRASH_SECRET);
        let state = State::open(base.path()).unwrap();
        secret(&state, 1).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert!(problem(secret(&state, 2)).contains("chmod 0600"));
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, [0; 31]).unwrap();
        assert!(problem(secret(&state, 2)).contains("remove it"));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(!problem(secret(&state, 2)).is_empty());
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(problem(secret(&state, 2)).contains("regular"));
        drop(state);
        std::fs::set_permissions(base.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(problem(State::open(base.path())).contains("chmod 0700"));
    }
}
