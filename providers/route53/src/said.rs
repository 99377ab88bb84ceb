//! What Route 53 says when it refuses: read from the body itself, since the root of one of its answers is not the one
//! that its other answers have, and an SDK may not know it.

use fleetdns_core::DnsName;

use crate::names::read_name;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// `InvalidChangeBatch`, `Throttling`, …; empty when the answer names none.
    pub(crate) code: String,
    /// One or more sentences.
    pub(crate) messages: Vec<String>,
}

impl Said {
    /// Both forms: `<ErrorResponse><Error><Code>…` and `<InvalidChangeBatch><Messages><Message>…`.
    pub(crate) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut codes = elements(&text, "Code");
        let code = match codes.pop() {
            Some(code) => code,
            None if text.contains("<InvalidChangeBatch") => "InvalidChangeBatch".to_owned(),
            None => String::new(),
        };
        Self { code, messages: elements(&text, "Message") }
    }

    /// All of it in one line.
    pub(crate) fn text(&self) -> String {
        match (self.code.as_str(), self.messages.join("; ")) {
            ("", said) if said.is_empty() => "an answer without a reason".to_owned(),
            ("", said) => said,
            (code, said) if said.is_empty() => code.to_owned(),
            (code, said) => format!("{code}: {said}"),
        }
    }
}

/// Texts of all elements of a name that have no elements in them.
fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open)
        .skip(1)
        .filter_map(|part| part.split_once(&close))
        .map(|(inner, _)| {
            let plain = inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            plain.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&")
        })
        .collect()
}

/// What is wrong with one name of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The zone is not as we saw it.
    Stale,
    /// Route 53 does not take the record; what it says.
    Unfit(String),
}

impl Blame {
    /// From what is said of one name, or of a batch of one name.
    pub(crate) fn of(text: &str) -> Self {
        let stale = ["already exists", "was not found", "do not match", "conflict"];
        // "…an alias that targets …, but that target was not found": no other reading of the zone mends that.
        let of_target = text.contains("alias that targets");
        if !of_target && stale.iter().any(|part| text.contains(part)) {
            Self::Stale
        } else {
            Self::Unfit(text.trim().to_owned())
        }
    }
}

/// The names of a batch that the messages speak of, and what they say of each. Several messages may come as one text;
/// what is said of a name goes on to the next name.
///
/// `known` returns the batch's own name for a name of a record or of a mark.
pub(crate) fn blamed(
    messages: &[String],
    known: impl Fn(&DnsName) -> Option<DnsName>,
) -> Vec<(DnsName, Blame)> {
    let mut blames: Vec<(DnsName, Blame)> = Vec::new();
    for message in messages {
        let mentions = mentions(message, &known);
        for (index, (at, name)) in mentions.iter().enumerate() {
            let end = mentions.get(index + 1).map_or(message.len(), |(next, _)| *next);
            let blame = match Blame::of(message.get(*at..end).unwrap_or(message)) {
                Blame::Unfit(_) => Blame::Unfit(message.clone()),
                stale => stale,
            };
            match blames.iter_mut().find(|(known, _)| known == name) {
                // What will not pass at a second try either says more.
                Some((_, known)) if *known == Blame::Stale => *known = blame,
                Some(_) => {}
                None => blames.push((name.clone(), blame)),
            }
        }
    }
    blames
}

/// Where names of the batch begin in a message. A name behind `in zone` is the zone's.
fn mentions(message: &str, known: impl Fn(&DnsName) -> Option<DnsName>) -> Vec<(usize, DnsName)> {
    let mut found = Vec::new();
    let apart = |c: char| c.is_whitespace() || ['\'', '"', '[', ']', ',', ';', '=', '(', ')'].contains(&c);
    let mut from = 0;
    for word in message.split(apart) {
        let before = message.get(..from).unwrap_or_default();
        if !before.ends_with("in zone ") && word.contains('.') {
            // A sentence may end with a name: `read_name` takes one final dot away.
            if let Some(name) = read_name(word).and_then(|name| known(&name)) {
                found.push((from, name));
            }
        }
        from += word.len();
        from += message.get(from..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::marked_name;

    fn blame(message: &str, batch: &[&str]) -> Vec<(String, Blame)> {
        let known = |name: &DnsName| {
            let record = marked_name(name).unwrap_or_else(|| name.clone());
            batch.contains(&record.as_str()).then_some(record)
        };
        blamed(&[message.to_owned()], known).into_iter().map(|(name, b)| (name.to_string(), b)).collect()
    }

    fn stale(name: &str) -> (String, Blame) {
        (name.to_owned(), Blame::Stale)
    }

    #[test]
    fn both_forms_of_an_answer_are_read() {
        let own = b"<?xml version=\"1.0\"?>\n<InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
            <Messages><Message>one &amp; only</Message><Message>two</Message></Messages><RequestId>r</RequestId></InvalidChangeBatch>";
        let said = Said::read(own);
        assert_eq!(said.code, "InvalidChangeBatch");
        assert_eq!(said.messages, ["one & only", "two"]);
        let usual = b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        assert_eq!(Said::read(usual).text(), "Throttling: Rate exceeded");
        assert_eq!(Said::read(b"<html>").text(), "an answer without a reason");
    }

    #[test]
    fn the_names_in_a_message_are_found() {
        let batch = ["x.example.com", "*.example.com", "example.com", "y.example.com"];
        let exists =
            "Tried to create resource record set [name='x.example.com.', type='A'] but it already exists";
        assert_eq!(blame(exists, &batch), [stale("x.example.com")]);
        let mark = "Tried to delete resource record set [name='_fleetdns.x.example.com.', type='TXT'] but it was not found";
        assert_eq!(blame(mark, &batch), [stale("x.example.com")]);
        let older = "Tried to create resource record set \\052.example.com. type A, but it already exists";
        assert_eq!(blame(older, &batch), [stale("*.example.com")]);
        let clash = "RRSet of type A with DNS name x.example.com. is not permitted because a conflicting RRSet of type  \
            CNAME with the same DNS name already exists in zone example.com.";
        assert_eq!(blame(clash, &batch), [stale("x.example.com")]);
        let joined =
            format!("[{exists}, RRSet with DNS name y.example.com is not permitted in zone example.com.]");
        let all = blame(&joined, &batch);
        assert_eq!(all[0], stale("x.example.com"));
        assert!(matches!(&all[1], (name, Blame::Unfit(_)) if name == "y.example.com"), "{all:?}");
        assert_eq!(all.len(), 2);
        let apex =
            "RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone example.com.";
        assert!(matches!(&blame(apex, &batch)[..], [(name, Blame::Unfit(_))] if name == "example.com"));
    }

    #[test]
    fn an_alias_whose_target_is_not_found_will_not_pass_at_a_second_try() {
        let text = "Tried to create an alias that targets lb-1.us-east-1.elb.amazonaws.com., type A in zone \
            Z35SXDOTRQ7X7K, but that target was not found";
        assert_eq!(Blame::of(text), Blame::Unfit(text.to_owned()));
        assert_eq!(blame(text, &["x.example.com"]), [], "it does not say whose alias it is");
    }

    #[test]
    fn a_message_without_a_name_of_the_batch_blames_nobody() {
        let text =
            "Invalid Resource Record: FATAL problem: ARRDATAIllegalIPv4Address encountered with '300.1.1.1'";
        assert_eq!(blame(text, &["x.example.com"]), []);
        assert_eq!(blame("RRSet with DNS name z.example.com is not permitted", &["x.example.com"]), []);
    }
}
