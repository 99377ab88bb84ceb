//! Kubeconfig files, read as client-go reads them: an empty field is not set, and each context keeps its own file's
//! cluster and user.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{Context, Kubeconfig};
use serde::Serialize;

use crate::chosen::Chosen;
use crate::error::{AccessError, brief};
use crate::given::Given;

mod lenient;
mod parse;

pub(crate) use parse::parse;

/// Files of one list, each normalised, in their order.
pub(crate) struct Files(Vec<(PathBuf, Arc<Kubeconfig>)>);

impl Files {
    /// Reads the files; those that do not exist are passed over, as kubectl does.
    ///
    /// # Errors
    /// When none exists, or one cannot be read or parsed.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, AccessError> {
        let mut files = Vec::new();
        for path in paths {
            match std::fs::read(path) {
                Ok(bytes) => files.push((path.clone(), parse::once(path, bytes)?)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(AccessError::Unreadable { path: path.clone(), reason: error.to_string() });
                }
            }
        }
        if files.is_empty() {
            return Err(AccessError::Missing { paths: paths.to_vec() });
        }
        Ok(Self(files))
    }

    /// Reads a kubeconfig that came from elsewhere.
    ///
    /// # Errors
    /// When it cannot be parsed.
    pub(crate) fn given(given: &Given) -> Result<Self, AccessError> {
        // A relative path in it begins nowhere.
        let label = PathBuf::from(&*given.label);
        let file = parse(&label, given.text().as_bytes())?;
        Ok(Self(vec![(label, file.into())]))
    }

    /// Certificates and keys that stand in files of their own.
    pub(crate) fn named_files(&self) -> Vec<PathBuf> {
        let mut named = Vec::new();
        for (path, file) in &self.0 {
            let folder = path.parent().unwrap_or(Path::new(""));
            let clusters = file.clusters.iter().filter_map(|named| named.cluster.as_ref());
            let users = file.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
            let authorities = clusters.filter_map(|cluster| cluster.certificate_authority.as_ref());
            let clients = users.flat_map(|user| [&user.client_certificate, &user.client_key]).flatten();
            named.extend(authorities.chain(clients).map(|text| folder.join(text)));
        }
        named
    }

    /// Names of the contexts, in their order. One whose cluster is gone is passed over, unless it is the current one: what
    /// is meant is not replaced by what is left.
    ///
    /// # Errors
    /// When two different contexts have one name, or the current one or all of them name no cluster that is there.
    pub(crate) fn contexts(&self) -> Result<Vec<String>, AccessError> {
        let (mut names, mut left_over): (Vec<String>, _) = (Vec::new(), Ok(()));
        for named in self.0.iter().flat_map(|(_, file)| &file.contexts) {
            if names.contains(&named.name) {
                continue;
            }
            match self.choose(Some(&named.name)) {
                Ok(_) => names.push(named.name.clone()),
                Err(fault @ (AccessError::Unusable { .. } | AccessError::UnknownContext { .. }))
                    if self.current() != Some(&named.name) =>
                {
                    left_over = Err(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        if names.is_empty() { left_over.map(|()| names) } else { Ok(names) }
    }

    /// The first file's current context that is set.
    fn current(&self) -> Option<&str> {
        self.0.iter().find_map(|(_, file)| file.current_context.as_deref())
    }

    /// Cluster and user of a context; of the first file's current context that is set, unless one is named.
    ///
    /// # Errors
    /// When there is no such context, or several different ones, or it names a cluster that is not there.
    pub(crate) fn choose(&self, context: Option<&str>) -> Result<Chosen, AccessError> {
        let Some(name) = context.or_else(|| self.current()) else {
            return Err(AccessError::NoContext { paths: self.paths() });
        };
        let mut found: Option<(usize, Chosen)> = None;
        for (home, (_, file)) in self.0.iter().enumerate() {
            for named in file.contexts.iter().filter(|named| named.name == name) {
                let Some(context) = &named.context else { continue };
                let chosen = self.parts(home, name, context)?;
                match &found {
                    None => found = Some((home, chosen)),
                    Some((_, first)) if same(first, &chosen) => {}
                    Some((first, _)) => return Err(self.ambiguous("contexts", name, [*first, home])),
                }
            }
        }
        found.map(|(_, chosen)| chosen).ok_or_else(|| {
            let names = self.0.iter().flat_map(|(_, file)| &file.contexts).map(|named| named.name.clone());
            let known = names.collect::<BTreeSet<_>>().into_iter().collect();
            AccessError::UnknownContext { context: name.to_owned(), paths: self.paths(), known }
        })
    }

    fn parts(&self, home: usize, name: &str, context: &Context) -> Result<Chosen, AccessError> {
        let clusters = |file: &Kubeconfig| {
            let all = file.clusters.iter().filter(|named| named.name == context.cluster);
            all.filter_map(|named| named.cluster.clone()).collect::<Vec<_>>()
        };
        let Some(cluster) = self.named(home, "clusters", &context.cluster, clusters)? else {
            let problem = format!(
                "its cluster '{}' is in none of the files; remove the context, or add the cluster",
                brief(&context.cluster)
            );
            return Err(AccessError::Unusable { credentials: self.label(name).into(), problem });
        };
        // A context without a user, or whose user is missing, is anonymous.
        let user = context.user.as_deref().filter(|user| !user.is_empty()).unwrap_or_default();
        let users = |file: &Kubeconfig| {
            let all = file.auth_infos.iter().filter(|named| named.name == user);
            all.filter_map(|named| named.auth_info.clone()).collect::<Vec<_>>()
        };
        let user = self.named(home, "users", user, users)?.unwrap_or_default();
        Ok(Chosen { context: name.to_owned(), cluster, user })
    }

    /// The item of a name: the one of the context's own file, or else that of the others. kubectl takes the first of all,
    /// and so talks to one cluster with another's credentials.
    fn named<T: Serialize>(
        &self,
        home: usize,
        kind: &'static str,
        name: &str,
        items: impl Fn(&Kubeconfig) -> Vec<T>,
    ) -> Result<Option<T>, AccessError> {
        let own = self.0.iter().enumerate().filter(|(index, _)| *index == home);
        let others = self.0.iter().enumerate().filter(|(index, _)| *index != home);
        let mut found: Option<(usize, T)> = None;
        for (index, (_, file)) in own.chain(others) {
            // What another file has counts only where the own one has nothing.
            if found.as_ref().is_some_and(|(first, _)| *first == home) && index != home {
                break;
            }
            for item in items(file) {
                match &found {
                    None => found = Some((index, item)),
                    Some((_, first)) if equal(first, &item) => {}
                    Some((first, _)) => return Err(self.ambiguous(kind, name, [*first, index])),
                }
            }
        }
        Ok(found.map(|(_, item)| item))
    }

    fn ambiguous(&self, kind: &'static str, name: &str, files: [usize; 2]) -> AccessError {
        let paths = files.iter().filter_map(|at| self.0.get(*at)).map(|(path, _)| path.clone());
        AccessError::Ambiguous { kind, name: brief(name), paths: paths.collect() }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(path, _)| path.clone()).collect()
    }

    fn label(&self, context: &str) -> String {
        label(&self.paths(), Some(context))
    }
}

/// Context and files in words.
pub(crate) fn label(paths: &[PathBuf], context: Option<&str>) -> String {
    let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let context =
        context.map_or_else(|| "the current context".to_owned(), |name| format!("context '{}'", brief(name)));
    format!("{context} of {}", files.join(", "))
}

fn same(one: &Chosen, other: &Chosen) -> bool {
    equal(&one.cluster, &other.cluster) && equal(&one.user, &other.user)
}

pub(crate) fn equal<T: Serialize>(one: &T, other: &T) -> bool {
    match (serde_json::to_value(one), serde_json::to_value(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
