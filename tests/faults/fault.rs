//! What an upstream can do wrong: how it is played on the socket, and what has to come of it.

use std::time::{Duration, SystemTime};

use super::voice::Complaint::{self, Broken, Busy, Key, Limited, NoModel, TooLong, Unsafe, Wrong};
use super::voice::{PIECES, Voice};
use crate::support::upstream::Conn;

/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_millis(20);
/// So that what was written before is read before what follows; nothing depends on it.
const PAUSE: Duration = Duration::from_millis(30);
/// What an answer without an end goes on with.
pub(crate) const AND_ON: &str = "and on ";
/// Of the one giant event.
pub(crate) const GIANT_BYTES: usize = 8 << 20;

/// How a 429 says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Unsaid,
    /// In the header `retry-after`.
    Header(&'static str),
    /// In the header `retry-after-ms`.
    Ms(&'static str),
    /// A date, this many seconds from now.
    Date(u64),
    /// In the body, as Google does.
    Body(&'static str),
}

/// See the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None at all.
    Good,
    Refuse,
    ResetBeforeHead,
    CloseBeforeHead,
    ResetMidHead,
    /// After the opening of a stream, before its first content.
    ResetBeforeContent,
    /// After the first content, between two events; in the middle of a whole answer.
    ResetMidBody,
    ResetMidEvent,
    StallBeforeHead,
    /// After the head, and after a stream's opening.
    StallBeforeContent,
    StallMidBody,
    /// The last bytes one by one.
    Drip,
    /// An answer without an end, in small pieces.
    DripForever,
    /// One event without an end, byte by byte: nothing can be read of it.
    DripMidEvent,
    Answers(Complaint),
    Status529,
    Limits(When),
    HtmlPage,
    Redirect,
    /// 200, and the stream begins with an error.
    ErrorEventFirst,
    /// The same behind what opens the stream.
    ErrorAfterOpening,
    /// A limit, told in a stream that had begun with 200: row 21.
    LimitInStream,
    ErrorEventMid,
    /// 200, and the body is an error.
    ErrorIn200,
    /// 200, and the body is words: row 22.
    LostIn200,
    TruncatedJson,
    /// The body ends properly, the answer does not.
    EarlyEnd,
    LengthTooLong,
    LengthTooShort,
    /// The first piece is [`GIANT_BYTES`] long, in one chunk.
    Giant,
    Compressed,
}

/// What has to come of a request whose only target fails so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The client gets the answer.
    Whole,
    /// Nothing was sent, or nothing was done: the same target may be asked again.
    MayRepeat,
    /// The provider may have billed it: this target is not asked again.
    Spent,
    /// The client's own mistake: nobody else is asked.
    Rejected,
    /// The answer has begun: it ends with an error event.
    Begun,
}

use Fault::{
    Answers, CloseBeforeHead, Compressed, Drip, DripForever, DripMidEvent, EarlyEnd, ErrorAfterOpening,
    ErrorEventFirst, ErrorEventMid, ErrorIn200, Giant, Good, HtmlPage, LengthTooLong, LengthTooShort, LimitInStream,
    Limits, LostIn200, Redirect, Refuse, ResetBeforeContent, ResetBeforeHead, ResetMidBody, ResetMidEvent,
    ResetMidHead, StallBeforeContent, StallBeforeHead, StallMidBody, Status529, TruncatedJson,
};

pub(crate) const CONNECTIONS: &[Fault] = &[
    Refuse,
    ResetBeforeHead,
    CloseBeforeHead,
    ResetMidHead,
    ResetBeforeContent,
    ResetMidBody,
    ResetMidEvent,
    EarlyEnd,
    LengthTooLong,
    LengthTooShort,
];
pub(crate) const TIMES: &[Fault] =
    &[StallBeforeHead, StallBeforeContent, StallMidBody, Drip, DripForever, DripMidEvent];
pub(crate) const ANSWERS: &[Fault] = &[
    Good,
    Answers(Broken),
    Answers(Busy),
    Answers(Wrong),
    Answers(TooLong),
    Answers(Unsafe),
    Answers(Key),
    Answers(NoModel),
    Status529,
    HtmlPage,
    Redirect,
    Compressed,
];
pub(crate) const ERROR_EVENTS: &[Fault] = &[ErrorEventFirst, ErrorAfterOpening, LimitInStream, ErrorEventMid];
pub(crate) const BODIES: &[Fault] = &[ErrorIn200, LostIn200, TruncatedJson];
pub(crate) const LIMITS: &[Fault] = &[
    Limits(When::Unsaid),
    Limits(When::Header("0")),
    Limits(When::Header("1")),
    Limits(When::Header("0.05")),
    Limits(When::Header("1000000000")),
    Limits(When::Header("-3")),
    Limits(When::Header("NaN")),
    Limits(When::Ms("50")),
    Limits(When::Ms("1e9")),
    Limits(When::Date(1)),
    Limits(When::Date(3600)),
    Limits(When::Body("0.05s")),
    Limits(When::Body("3600s")),
    Limits(When::Body("-1s")),
];

impl Fault {
    /// Whether there is such a thing for an answer of this kind.
    pub(crate) fn fits(self, voice: Voice, stream: bool) -> bool {
        match self {
            ResetMidEvent | DripMidEvent | ErrorEventFirst | LimitInStream | ErrorEventMid | EarlyEnd | Giant => stream,
            // What opens a stream of Google's is content already.
            ResetBeforeContent | ErrorAfterOpening => stream && voice != Voice::Gemini,
            TruncatedJson => !stream,
            Limits(When::Body(_)) => voice == Voice::Gemini,
            _ => true,
        }
    }

    pub(crate) fn fate(self, voice: Voice, stream: bool) -> Fate {
        match self {
            Good | Drip | Giant => Fate::Whole,
            Refuse => Fate::MayRepeat,
            ResetMidBody | ResetMidEvent | StallMidBody | DripForever | DripMidEvent | ErrorEventMid | EarlyEnd
            | LengthTooLong | LengthTooShort
                if stream =>
            {
                Fate::Begun
            }
            // Who is busy or limits has done nothing, wherever it says so.
            _ => match self.words(voice, stream)[0] {
                "rejected" | "context_too_long" | "content_refused" => Fate::Rejected,
                "overloaded" | "rate_limited" => Fate::MayRepeat,
                _ => Fate::Spent,
            },
        }
    }

    /// Other timeouts than the table's, where it needs them.
    pub(crate) fn patience(self) -> Option<&'static str> {
        match self {
            // Leaves time for another target.
            DripForever => Some("total: 1500ms"),
            // A build without optimization reads it no faster.
            Giant => Some("first_token: 20s, idle: 20s, total: 60s"),
            _ => None,
        }
    }

    /// The words the record may have for an attempt that ended so.
    pub(crate) fn words(self, voice: Voice, stream: bool) -> &'static [&'static str] {
        match self {
            Good | Drip | Giant => &["ok"],
            Refuse | ResetBeforeHead | CloseBeforeHead | ResetMidHead | ResetBeforeContent | ResetMidBody
            | ResetMidEvent | LengthTooLong => &["broken"],
            // Whether a stream without its end was cut or is nonsense cannot be told from outside.
            EarlyEnd => &["broken", "failed"],
            LengthTooShort if stream => &["broken", "failed"],
            LengthTooShort | TruncatedJson | LostIn200 | HtmlPage | Redirect | Compressed => &["failed"],
            StallBeforeHead | StallBeforeContent | StallMidBody | DripForever | DripMidEvent => &["timeout"],
            Answers(Broken) => &["failed"],
            Answers(Busy) | Status529 => &["overloaded"],
            Answers(Wrong) => &["rejected"],
            Answers(TooLong) => &["context_too_long"],
            Answers(Unsafe) => match voice {
                // Theirs has a code for it.
                Voice::Chat | Voice::Responses => &["content_refused"],
                _ => &["content_refused", "rejected"],
            },
            Answers(Key) => &["auth"],
            Answers(NoModel) => &["not_found"],
            Answers(Limited) | Limits(_) => &["rate_limited"],
            // Cohere's stream can only say that it failed.
            LimitInStream if voice == Voice::Cohere => &["failed"],
            LimitInStream => &["rate_limited"],
            // Cohere has no word for it in a stream, and Amazon and Cohere none in a body, streamed or not.
            ErrorEventFirst | ErrorAfterOpening | ErrorEventMid if voice != Voice::Cohere => &["overloaded"],
            ErrorIn200 if !matches!(voice, Voice::Cohere | Voice::Converse) => &["overloaded"],
            ErrorEventFirst | ErrorAfterOpening | ErrorEventMid | ErrorIn200 => &["failed", "overloaded"],
        }
    }

    /// The deadline that the error has to name.
    pub(crate) fn deadline(self, voice: Voice, stream: bool) -> Option<&'static str> {
        match self {
            StallBeforeHead => Some("(first_token timeout)"),
            // What opens a stream of Google's is content already.
            StallBeforeContent if stream && voice == Voice::Gemini => Some("(first_token timeout)"),
            StallBeforeContent | StallMidBody | DripMidEvent => Some("(idle timeout)"),
            DripForever => Some("(total timeout)"),
            _ => None,
        }
    }

    /// The statuses an error answer may have.
    pub(crate) fn statuses(self, voice: Voice, stream: bool) -> &'static [u16] {
        match self.words(voice, stream)[0] {
            "timeout" => &[504],
            "rate_limited" => &[429],
            "rejected" | "context_too_long" | "content_refused" => &[400],
            "not_found" => &[404, 502],
            _ => &[502, 503, 529],
        }
    }

    /// Plays it. The connection is used for nothing else.
    pub(crate) fn play(self, voice: Voice, stream: bool, conn: &mut Conn) {
        let wrong = |complaint: Complaint| voice.error(complaint, None);
        match self {
            // Nobody listens where this is asked.
            Refuse => {}
            ResetBeforeHead => return conn.reset(),
            CloseBeforeHead => {}
            ResetMidHead => {
                conn.raw("HTTP/1.1 200 OK\r\ncontent-ty");
                std::thread::sleep(PAUSE);
                return conn.reset();
            }
            StallBeforeHead => hang(conn),
            Answers(complaint) => answer(conn, complaint.status(), &[], &wrong(complaint)),
            Status529 => answer(conn, 529, &[], &wrong(Busy)),
            Limits(when) => limit(conn, voice, when),
            HtmlPage => raw_answer(conn, "502 Bad Gateway", "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
            Redirect => answer(conn, 307, &[("location", "http://127.0.0.1:9/elsewhere")], ""),
            ErrorIn200 => answer(conn, 200, &[], &wrong(Busy)),
            LostIn200 => raw_answer(conn, "200 OK", "text/plain", "network connection lost"),
            Compressed => {
                let kind = if stream { voice.stream_type() } else { "application/json" };
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
                );
                conn.raw(head.into_bytes());
                conn.raw(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03");
            }
            _ if stream => return self.play_stream(voice, conn),
            _ => return self.play_whole(voice, conn),
        }
        conn.close();
    }

    fn play_whole(self, voice: Voice, conn: &mut Conn) {
        let body = voice.whole(&PIECES.concat());
        let (half, rest) = body.as_bytes().split_at(body.len() / 2);
        let length = match self {
            LengthTooLong => body.len() + 100,
            LengthTooShort | TruncatedJson => half.len(),
            DripForever => 1 << 20,
            _ => body.len(),
        };
        conn.raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        ));
        if self == StallBeforeContent {
            hang(conn);
            return conn.close();
        }
        conn.raw(half);
        match self {
            TruncatedJson => {}
            StallMidBody => hang(conn),
            ResetMidBody => {
                std::thread::sleep(PAUSE);
                return conn.reset();
            }
            Drip => {
                let (most, last) = rest.split_at(rest.len() - 25);
                conn.raw(most);
                last.iter().for_each(|byte| drip(conn, *byte));
            }
            // JSON allows for as much space as there is patience.
            DripForever => {
                while conn.raw(b" ") {
                    std::thread::sleep(DRIP);
                }
            }
            _ => _ = conn.raw(rest),
        }
        conn.close();
    }

    fn play_stream(self, voice: Voice, conn: &mut Conn) {
        let [one, two] = PIECES;
        let text = PIECES.concat();
        let kind = voice.stream_type();
        let counted = match self {
            LengthTooLong => Some(1_000_000),
            LengthTooShort => Some(voice.opening().len() + voice.first(one).len() + 5),
            _ => None,
        };
        let framing = match counted {
            Some(length) => format!("content-length: {length}"),
            None => "transfer-encoding: chunked".to_owned(),
        };
        conn.raw(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n{framing}\r\n\r\n"));
        let send = |conn: &mut Conn, bytes: &[u8]| if counted.is_some() { conn.raw(bytes) } else { conn.chunk(bytes) };
        if matches!(self, ErrorEventFirst | ErrorAfterOpening | LimitInStream) {
            if self == ErrorAfterOpening {
                conn.chunk(voice.opening());
            }
            conn.chunk(voice.error_event(if self == LimitInStream { Limited } else { Busy }));
            conn.end();
            return conn.close();
        }
        if !voice.opening().is_empty() {
            send(conn, &voice.opening());
        }
        match self {
            StallBeforeContent => {
                hang(conn);
                return conn.close();
            }
            ResetBeforeContent => {
                std::thread::sleep(PAUSE);
                return conn.reset();
            }
            Giant => {
                conn.chunk(voice.first(&"x".repeat(GIANT_BYTES)));
                conn.chunk(voice.closing(&"x".repeat(GIANT_BYTES)));
                conn.end();
                return conn.close();
            }
            _ => send(conn, &voice.first(one)),
        };
        std::thread::sleep(PAUSE);
        match self {
            ResetMidBody => return conn.reset(),
            ResetMidEvent => {
                let event = voice.next(two, 5);
                conn.chunk(&event[..event.len() / 2]);
                std::thread::sleep(PAUSE);
                return conn.reset();
            }
            StallMidBody => hang(conn),
            DripForever => (5..).take_while(|number| conn.chunk(voice.next(AND_ON, *number))).for_each(|_| {
                std::thread::sleep(DRIP);
            }),
            DripMidEvent => voice.next(&"x".repeat(10_000), 5).iter().for_each(|byte| drip_chunk(conn, *byte)),
            ErrorEventMid => {
                conn.chunk(voice.error_event(Busy));
                conn.end();
            }
            EarlyEnd => conn.end(),
            // More than was announced, or less.
            LengthTooShort | LengthTooLong => _ = conn.raw(voice.next(two, 5)),
            Drip => {
                let rest = [voice.next(two, 5), voice.closing(&text)].concat();
                let (most, last) = rest.split_at(rest.len() - 25);
                conn.chunk(most);
                last.iter().for_each(|byte| drip_chunk(conn, *byte));
                conn.end();
            }
            _ => {
                conn.chunk(voice.next(two, 5));
                conn.chunk(voice.closing(&text));
                conn.end();
            }
        }
        conn.close();
    }
}

/// A good answer.
pub(crate) fn good(voice: Voice, stream: bool, conn: &mut Conn) {
    Good.play(voice, stream, conn);
}

/// Until the other side has had enough.
fn hang(conn: &mut Conn) {
    conn.take(1);
}

fn drip(conn: &mut Conn, byte: u8) {
    conn.raw([byte]);
    std::thread::sleep(DRIP);
}

fn drip_chunk(conn: &mut Conn, byte: u8) {
    if conn.chunk([byte]) {
        std::thread::sleep(DRIP);
    }
}

fn answer(conn: &mut Conn, status: u16, headers: &[(&str, &str)], body: &str) {
    let all = [headers, &[("connection", "close")]].concat();
    conn.json_with(status, &all, body);
}

fn raw_answer(conn: &mut Conn, status: &str, kind: &str, body: &str) {
    let length = body.len();
    conn.raw(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ));
}

fn limit(conn: &mut Conn, voice: Voice, when: When) {
    let in_body = if let When::Body(wait) = when { Some(wait) } else { None };
    let body = voice.error(Limited, in_body);
    let header = match when {
        When::Unsaid | When::Body(_) => None,
        When::Header(text) => Some(("retry-after", text.to_owned())),
        When::Ms(text) => Some(("retry-after-ms", text.to_owned())),
        When::Date(seconds) => {
            Some(("retry-after", httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))))
        }
    };
    let headers: Vec<(&str, &str)> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
    answer(conn, 429, &headers, &body);
}
