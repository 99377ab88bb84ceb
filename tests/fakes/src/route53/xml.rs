//! The little of XML that requests and answers have.

/// An element.
#[derive(Debug, Clone, Default)]
pub struct Element {
    pub name: String,
    pub children: Vec<Self>,
    pub text: String,
}

impl Element {
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn text_of(&self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.text.clone())
    }
}

/// The root of a document; `None` when it is not well-formed.
pub fn parse(text: &str) -> Option<Element> {
    let mut stack = vec![Element::default()];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        stack.last_mut()?.text.push_str(&unescape(&rest[..at]));
        let end = at + rest[at..].find('>')?;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let element = stack.pop().filter(|element| element.name == name)?;
            stack.last_mut()?.children.push(element);
            continue;
        }
        let name = tag.trim_end_matches('/').split_whitespace().next()?.to_owned();
        let element = Element { name, ..Element::default() };
        if tag.ends_with('/') {
            stack.last_mut()?.children.push(element);
        } else {
            stack.push(element);
        }
    }
    let mut root = stack.pop().filter(|_| stack.is_empty())?;
    root.children.pop()
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(';').and_then(|(entity, rest)| Some((entity_char(entity)?, rest))) {
            Some((char, rest)) => plain.extend([&*char.to_string(), rest]),
            None => plain.extend(["&", part]),
        }
    }
    plain
}

fn entity_char(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "amp" => Some('&'),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `<name>text</name>`
pub fn tag(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}
