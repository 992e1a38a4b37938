//! The elements of a page. All text is escaped.

/// Escapes text for HTML text or an attribute value. Bidirectional and control characters become
/// visible escapes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::sanitize::one_line(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

pub(super) fn section(title: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(title)
    )
}

pub(super) fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escape(text))
}

/// A table whose first row is the heading, and whose first column names the rows.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    table_element("<table>", rows)
}

/// A table with a class for the alignment of its cells.
pub(super) fn table_of_class(class: &str, rows: &[Vec<String>]) -> String {
    table_element(&format!("<table class=\"{class}\">"), rows)
}

fn table_element(start: &str, rows: &[Vec<String>]) -> String {
    let mut html = format!("<div class=\"wide\">{start}\n");
    for (at, row) in rows.iter().enumerate() {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let (start, end) = match (at, column) {
                (0, _) => ("<th scope=\"col\">", "</th>"),
                (_, 0) => ("<th scope=\"row\">", "</th>"),
                _ => ("<td>", "</td>"),
            };
            html.extend([start, &cell, end]);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// A list of names and values.
pub(super) fn list(rows: &[(String, String)]) -> String {
    let mut html = String::from("<dl>\n");
    for (name, value) in rows {
        let (name, value) = (escape(name), escape(value));
        html.extend(["<dt>", &name, "</dt><dd>", &value, "</dd>\n"]);
    }
    html.push_str("</dl>\n");
    html
}

/// A number with its name.
pub(super) fn tile(name: &str, value: &str) -> String {
    let (name, value) = (escape(name), escape(value));
    format!("<div><b>{value}</b><span>{name}</span></div>\n")
}
