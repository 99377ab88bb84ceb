//! IAM policies, as far as those for a hosted zone go: statements that allow actions on resources, without conditions.

use serde_json::Value;

/// What is allowed.
#[derive(Debug, Clone)]
pub struct Policy(Vec<Allowed>);

#[derive(Debug, Clone)]
struct Allowed {
    action: String,
    resource: String,
}

impl Policy {
    /// Reads a policy document (IAM, "Grammar of the IAM JSON policy language").
    ///
    /// # Panics
    /// When it has anything else than what this knows.
    pub fn of(json: &str) -> Self {
        let document: Value = serde_json::from_str(json).unwrap();
        assert_eq!(document["Version"], "2012-10-17");
        let mut all = Vec::new();
        for statement in document["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            assert_eq!(statement.as_object().unwrap().len(), 3, "{statement}");
            for action in texts(&statement["Action"]) {
                let resources = texts(&statement["Resource"]).into_iter();
                all.extend(resources.map(|resource| Allowed { action: action.clone(), resource }));
            }
        }
        Self(all)
    }

    /// The actions that are named.
    pub fn actions(&self) -> Vec<String> {
        self.0.iter().map(|one| one.action.clone()).collect()
    }

    /// The same without one action.
    #[must_use]
    pub fn without(&self, action: &str) -> Self {
        Self(self.0.iter().filter(|one| one.action != action).cloned().collect())
    }

    /// The same with one action more.
    #[must_use]
    pub fn with(&self, action: &str, resource: &str) -> Self {
        let one = Allowed { action: action.to_owned(), resource: resource.to_owned() };
        Self([self.0.clone(), vec![one]].concat())
    }

    /// Whether an action on a resource, such as `hostedzone/Z1`, is allowed. One without a resource needs `*`.
    pub(super) fn grants(&self, action: &str, resource: &str) -> bool {
        let (action, arn) = (format!("route53:{action}"), format!("arn:aws:route53:::{resource}"));
        let fits = |granted: &str| match granted.strip_suffix('*') {
            Some(start) => granted == "*" || (!resource.is_empty() && arn.starts_with(start)),
            None => !resource.is_empty() && granted == arn,
        };
        self.0.iter().any(|one| one.action == action && fits(&one.resource))
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().map_or_else(|| vec![one(value)], |all| all.iter().map(one).collect())
}
