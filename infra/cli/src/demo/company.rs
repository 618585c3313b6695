//! The demo company: its departments, users, budgets and usage.

/// A department. Its parent comes before it.
pub(super) struct Department {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) parent_id: Option<&'static str>,
    pub(super) manager_id: &'static str,
}

/// A user. Their manager comes before them.
pub(super) struct User {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) department_id: &'static str,
    pub(super) manager_id: Option<&'static str>,
    pub(super) role: &'static str,
}

/// A budget; `amount` is in tokens or whole dollars.
pub(super) struct Budget {
    pub(super) name: &'static str,
    pub(super) department_id: Option<&'static str>,
    pub(super) unit: &'static str,
    pub(super) amount: i64,
    pub(super) hard_cap: bool,
    pub(super) rollover_cap_percent: Option<u32>,
}

/// A model and its provider.
pub(super) struct Model {
    pub(super) provider: &'static str,
    pub(super) name: &'static str,
}

/// Requests of one user with the tokens of each.
pub(super) struct Usage {
    pub(super) user_id: &'static str,
    pub(super) model: &'static Model,
    pub(super) requests: u32,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
}

const OPUS: Model = Model {
    provider: "anthropic",
    name: "claude-opus-5-5",
};
const SONNET: Model = Model {
    provider: "anthropic",
    name: "claude-sonnet-5-5",
};
const GPT: Model = Model {
    provider: "openai",
    name: "gpt-6.1-sol",
};
const GEMINI: Model = Model {
    provider: "gemini",
    name: "gemini-3.8-flash",
};

const fn department(
    id: &'static str,
    name: &'static str,
    parent_id: Option<&'static str>,
    manager_id: &'static str,
) -> Department {
    Department {
        id,
        name,
        parent_id,
        manager_id,
    }
}

const fn user(
    id: &'static str,
    name: &'static str,
    department_id: &'static str,
    manager_id: Option<&'static str>,
    role: &'static str,
) -> User {
    User {
        id,
        name,
        department_id,
        manager_id,
        role,
    }
}

const fn hard(
    name: &'static str,
    department_id: Option<&'static str>,
    unit: &'static str,
    amount: i64,
) -> Budget {
    Budget {
        name,
        department_id,
        unit,
        amount,
        hard_cap: true,
        rollover_cap_percent: None,
    }
}

const fn soft(
    name: &'static str,
    department_id: Option<&'static str>,
    unit: &'static str,
    amount: i64,
) -> Budget {
    Budget {
        hard_cap: false,
        ..hard(name, department_id, unit, amount)
    }
}

const fn usage(
    user_id: &'static str,
    model: &'static Model,
    requests: u32,
    input_tokens: i64,
    output_tokens: i64,
) -> Usage {
    Usage {
        user_id,
        model,
        requests,
        input_tokens,
        output_tokens,
    }
}

pub(super) const DEPARTMENTS: &[Department] = &[
    department("engineering", "Engineering", None, "helen"),
    department("platform", "Platform", Some("engineering"), "omar"),
    department("infrastructure", "Infrastructure", Some("platform"), "omar"),
    department(
        "data",
        "Data and machine learning",
        Some("platform"),
        "priya",
    ),
    department("product", "Product", Some("engineering"), "sofia"),
    department("web", "Web", Some("product"), "sofia"),
    department("mobile", "Mobile apps", Some("product"), "sofia"),
    department("interns", "Interns", Some("engineering"), "helen"),
    department("sales", "Sales", None, "diego"),
    department(
        "emea",
        "Europe, Middle East and Africa",
        Some("sales"),
        "elif",
    ),
    department("marketing", "Marketing", None, "anna"),
    department("finance", "Finance", None, "ruth"),
];

pub(super) const USERS: &[User] = &[
    user("helen", "Helen Brandt", "engineering", None, "admin"),
    user("ruth", "Ruth Adeyemi", "finance", None, "admin"),
    user("omar", "Omar Haddad", "platform", Some("helen"), "manager"),
    user(
        "sofia",
        "Sofia Marques",
        "product",
        Some("helen"),
        "manager",
    ),
    user("diego", "Diego Fuentes", "sales", None, "manager"),
    user("anna", "Anna Kowalska", "marketing", None, "manager"),
    user("priya", "Priya Raman", "data", Some("omar"), "manager"),
    user("elif", "Elif Demir", "emea", Some("diego"), "manager"),
    user(
        "yuki",
        "Yuki Tanaka",
        "infrastructure",
        Some("omar"),
        "member",
    ),
    user(
        "jonas",
        "Jonas Lindqvist",
        "infrastructure",
        Some("omar"),
        "member",
    ),
    user("tomas", "Tomáš Novák", "data", Some("priya"), "member"),
    user("chen", "Chen Wei", "data", Some("priya"), "member"),
    user("liam", "Liam O'Connor", "web", Some("sofia"), "member"),
    user("amara", "Amara Okafor", "web", Some("sofia"), "member"),
    user("nina", "Nina Fischer", "mobile", Some("sofia"), "member"),
    user("felix", "Felix Moreau", "mobile", Some("sofia"), "member"),
    user("marek", "Marek Zieliński", "emea", Some("elif"), "member"),
    user(
        "theo",
        "Theo Papadakis",
        "marketing",
        Some("anna"),
        "member",
    ),
    user("noah", "Noah Silva", "interns", Some("helen"), "member"),
];

/// The user who is made last, so that their existence shows that the demo data is complete.
pub(super) const LAST_USER: User = user(
    CAPPED_USER,
    "Ivy Larsson",
    "interns",
    Some("helen"),
    "member",
);

/// A user whose department may use few tokens, so that a larger request is denied.
pub(crate) const CAPPED_USER: &str = "ivy";
/// A user whose budgets have room for a request.
pub(crate) const USER_WITH_ROOM: &str = "liam";
/// The provider of [`MODEL`].
pub(crate) const PROVIDER: &str = SONNET.provider;
/// A model with a price.
pub(crate) const MODEL: &str = SONNET.name;

pub(super) const BUDGETS: &[Budget] = &[
    hard("Company tokens", None, "tokens", 8_000_000),
    Budget {
        rollover_cap_percent: Some(20),
        ..hard("Company spend", None, "usd", 50)
    },
    Budget {
        rollover_cap_percent: Some(50),
        ..hard(
            "Engineering tokens",
            Some("engineering"),
            "tokens",
            5_000_000,
        )
    },
    soft("Engineering spend", Some("engineering"), "usd", 30),
    soft("Platform tokens", Some("platform"), "tokens", 3_500_000),
    soft("Data spend", Some("data"), "usd", 15),
    hard("Product tokens", Some("product"), "tokens", 1_500_000),
    soft("Web tokens", Some("web"), "tokens", 600_000),
    hard("Interns tokens", Some("interns"), "tokens", 20_000),
    soft("Sales spend", Some("sales"), "usd", 5),
    soft("Marketing tokens", Some("marketing"), "tokens", 300_000),
];

/// Usage that is reported without a hold. Marketing exceeds its soft cap.
pub(super) const USAGE: &[Usage] = &[
    usage("yuki", &OPUS, 6, 70_000, 10_000),
    usage("jonas", &SONNET, 5, 62_000, 9_500),
    usage("priya", &OPUS, 8, 110_000, 15_000),
    usage("tomas", &GPT, 7, 92_000, 13_000),
    usage("chen", &SONNET, 6, 85_000, 12_000),
    usage("liam", &SONNET, 5, 48_000, 13_000),
    usage("amara", &GPT, 4, 45_000, 10_500),
    usage("nina", &GEMINI, 3, 50_000, 12_500),
    usage("felix", &SONNET, 4, 51_000, 14_000),
    usage("helen", &OPUS, 2, 40_000, 9_000),
    usage("diego", &GPT, 3, 20_000, 4_000),
    usage("elif", &GEMINI, 3, 15_000, 5_000),
    usage("marek", &GPT, 2, 19_000, 4_500),
    usage("anna", &GPT, 4, 30_000, 8_500),
    usage("theo", &GEMINI, 5, 28_000, 10_400),
    usage("ruth", &SONNET, 2, 11_000, 3_000),
    usage("noah", &GEMINI, 3, 1_400, 600),
];

/// Requests that are held and settled.
pub(super) const REQUESTS: &[Usage] = &[
    usage("sofia", &SONNET, 1, 18_000, 4_000),
    usage("jonas", &OPUS, 1, 24_000, 6_000),
    usage("elif", &GPT, 1, 9_000, 2_500),
];

/// The request that is still held.
pub(super) const HELD: Usage = usage("amara", &SONNET, 1, 32_000, 8_000);
