//! Lines that begin alike: paths under one directory, matches in one file, the columns of a listing.

/// How far ahead the best group is looked for.
const MOST_AHEAD: usize = 64;
const LEAST_BYTES: usize = 8;
const LEAST_LINES: usize = 3;
/// About what the note costs, in bytes of plain text.
const NOTE_BYTES: usize = 20;

/// So many lines from here on begin with as many bytes of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// For each line: how many bytes it begins with that the next begins with too.
pub(super) fn common(lines: &[&str]) -> Vec<usize> {
    let same = |[one, next]: &[&str; 2]| one.bytes().zip(next.bytes()).take_while(|(a, b)| a == b).count();
    lines.array_windows().map(same).collect()
}

/// The same, up to where a word or a name ends.
pub(super) fn shared(lines: &[&str], common: &[usize]) -> Vec<usize> {
    let up_to = |(line, same): (&&str, &usize)| ends_well(line.as_bytes().get(..*same).unwrap_or_default());
    lines.iter().zip(common).map(up_to).collect()
}

/// Back to behind the last byte that parts names and words; all of those are ASCII.
fn ends_well(prefix: &[u8]) -> usize {
    let parts = |b: &u8| matches!(b, b'/' | b' ' | b':' | b'\t' | b'|' | b'=' | b',' | b']' | b')' | b'-' | b'"');
    prefix.iter().rposition(parts).map_or(0, |at| at + 1)
}

/// The group that begins at a line and saves most for each of its lines, if one is worth it: a longer one
/// that saves less would take lines from groups of their own.
pub(super) fn group(lines: &[&str], shared: &[usize], at: usize) -> Option<Group> {
    let line = lines.get(at)?.as_bytes();
    let mut bytes = *shared.get(at)?;
    let mut best: Option<(usize, Group)> = None;
    for ahead in 0..MOST_AHEAD {
        let Some(next) = shared.get(at + ahead) else { break };
        if *next < bytes {
            bytes = ends_well(line.get(..*next).unwrap_or_default());
        }
        if bytes < LEAST_BYTES {
            break;
        }
        let group = Group { lines: ahead + 2, bytes };
        let saved = (group.lines - 1).saturating_mul(bytes).saturating_sub(NOTE_BYTES);
        let is_better = |(most, than): (usize, Group)| saved * than.lines >= most * group.lines;
        if group.lines >= LEAST_LINES && saved > 0 && best.is_none_or(is_better) {
            best = Some((saved, group));
        }
    }
    let (_, mut group) = best?;
    let prefix = line.get(..group.bytes)?;
    if prefix.iter().filter(|b| b.is_ascii_alphanumeric()).count() < 3 {
        return None;
    }
    while shared.get(at + group.lines - 1).is_some_and(|next| *next >= group.bytes) {
        group.lines += 1;
    }
    Some(group)
}
