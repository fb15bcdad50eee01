//! The pages of the story, one for each language, and the files that they refer to.

use anyhow::Context;
use protocol::run::Run;
use reports::html::escape;
use serde_json::json;

use super::measured::Measured;
use super::scenes::{self, Prediction, Scene};
use super::texts::{self, Texts, Words, fill};
use crate::destination::Destination;
use crate::language::{LANGUAGES, Language};
use crate::palette;

/// A file of the story.
pub struct File {
    /// Its name, to which the other files refer.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub content: String,
}

/// All files of the story: a page for each language, the script and the style.
///
/// # Errors
/// When the run did not measure what a scene shows.
pub fn files(run: &Run, destination: Destination) -> anyhow::Result<Vec<File>> {
    let measured = Measured::of(run)?;
    let mut files = Vec::new();
    for language in &LANGUAGES {
        let content =
            page(language, &measured, destination).with_context(|| format!("the story, {}", language.code))?;
        files.push(File { name: language.story, content_type: "text/html; charset=utf-8", content });
    }
    files.push(File {
        name: "learn.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("page/learn.js").into(),
    });
    files.push(File {
        name: "learn.css",
        content_type: "text/css; charset=utf-8",
        content: palette::css() + include_str!("page/learn.css"),
    });
    Ok(files)
}

fn page(language: &Language, measured: &Measured, destination: Destination) -> anyhow::Result<String> {
    let texts = texts::of(language.code)?;
    let scenes = scenes::all(measured, &texts, &language.dictionary)?;
    let (mut list, mut sections, mut data) = (String::new(), String::new(), Vec::new());
    for (scene, number) in scenes.iter().zip(1..) {
        let short = escape(&texts.scenes[scene.name].short);
        list += &format!("<li><a href=\"#{}\"><b>{number}</b> <span>{short}</span></a></li>\n", scene.name);
        sections += &section(scene, number, scenes.len(), language, measured, &texts)?;
        data.push(json!({
            "name": scene.name,
            "prediction": scene.prediction,
            "value": fill(&texts.scenes[scene.name].value, &scene.words)?,
            "fact": fill(&texts.scenes[scene.name].fact, &scene.words)?,
        }));
    }
    let data = json!({
        "scenes": data,
        "texts": {
            "exact": texts.exact, "close": texts.close, "less": texts.less, "more": texts.more,
            "right": texts.right, "wrong": texts.wrong, "sentence": texts.sentence, "move": texts.r#move,
        },
    });
    let machine =
        Words::from([("cores", measured.environment.cores.to_string()), ("cpu", measured.environment.cpu.clone())]);
    let other = LANGUAGES.iter().find(|other| other.code == language.other).context("there is another language")?;
    let lecture = match destination {
        Destination::File | Destination::Site => format!("lecture/{}-handout.html", language.code),
        Destination::Server => format!("/slides/{}.html", language.code),
    };
    let live = match destination {
        Destination::File | Destination::Site => String::new(),
        Destination::Server => format!("<li><a href=\"/?lang={}\">{}</a></li>\n", language.code, escape(&texts.live)),
    };
    let parts = [
        ("{{code}}", language.code),
        ("{{title}}", &escape(&texts.title)),
        ("{{heading}}", &escape(&texts.title)),
        ("{{lead}}", &escape(&texts.lead)),
        ("{{other}}", other.story),
        ("{{other_code}}", other.code),
        ("{{other_language}}", &escape(&texts.other_language)),
        ("{{theme}}", &escape(&texts.theme)),
        ("{{scenes_list}}", &escape(&texts.scenes_list)),
        ("{{list}}", &list),
        ("{{scenes}}", &sections),
        ("{{end}}", &escape(&texts.end)),
        ("{{lecture}}", &lecture),
        ("{{lecture_text}}", &escape(&texts.lecture)),
        ("{{live}}", &live),
        ("{{source}}", &escape(&fill(&texts.source, &machine)?)),
        // Within a script element, only "<" could end the data.
        ("{{data}}", &data.to_string().replace('<', "\\u003c")),
    ];
    let template = include_str!("page/index.html");
    Ok(parts.iter().fold(template.to_string(), |page, (placeholder, text)| page.replace(placeholder, text)))
}

fn section(
    scene: &Scene,
    number: usize,
    count: usize,
    language: &Language,
    measured: &Measured,
    texts: &Texts,
) -> anyhow::Result<String> {
    let Scene { name, words, picture, .. } = scene;
    let own = &texts.scenes[*name];
    let text = |text: &str| anyhow::Ok(escape(&fill(text, words)?));
    let prediction = match &scene.prediction {
        Prediction::Choice { .. } => {
            let option = |(index, option): (usize, &String)| {
                let option = escape(option);
                format!(
                    "<label><input type=\"radio\" name=\"{name}\" value=\"{index}\"> <span>{option}</span></label>\n"
                )
            };
            own.options.iter().enumerate().map(option).collect()
        }
        Prediction::Slider { steps, .. } => {
            let (last, middle) = (steps.len() - 1, steps.len() / 2);
            format!(
                "<input type=\"range\" name=\"{name}\" min=\"0\" max=\"{last}\" value=\"{middle}\" step=\"1\" aria-labelledby=\"{name}-question\">\n\
                 <output>{}</output>\n",
                escape(&texts.r#move)
            )
        }
    };
    let replay = match picture.is_played {
        true => format!("<button type=\"button\" class=\"replay\">{}</button>\n", escape(&texts.replay)),
        false => String::new(),
    };
    let listed = match picture.words.is_empty() {
        true => String::new(),
        false => {
            let items: String = picture.words.iter().map(|word| format!("<li>{word}</li>\n")).collect();
            format!("<details><summary>{}</summary>\n<ol>\n{items}</ol>\n</details>\n", escape(&texts.as_list))
        }
    };
    let claim = match (scene.claim, &own.claim) {
        (Some(number), Some(claim)) => {
            let claim = escape(&fill(&texts.claim, &Words::from([("claim", claim.clone())]))?);
            format!("{claim} <b>{}</b>.<br>\n", language.status(measured.status(number)?))
        }
        (None, None) => String::new(),
        _ => anyhow::bail!("the scene {name} has a claim without a text, or a text without a claim"),
    };
    let arguments = match scene.command {
        "" => String::new(),
        command => format!(" <span>-- {command}</span>"),
    };
    // A picture that is SVG is an image with its caption as name; its parts are in the list of words.
    let (role, caption) = (if picture.words.is_empty() { "" } else { " role=\"img\"" }, text(&own.caption)?);
    Ok(format!(
        "<section class=\"scene\" id=\"{name}\" aria-labelledby=\"{name}-heading\">
<div class=\"tell\">
<p class=\"number\">{number} / {count} · {short}</p>
<h2 id=\"{name}-heading\" tabindex=\"-1\">{heading}</h2>
<p class=\"idea\">{idea}</p>
<form>
<fieldset>
<legend id=\"{name}-question\">{question}</legend>
{prediction}</fieldset>
<button disabled>{show}</button>
</form>
</div>
<div class=\"shown\">
<p class=\"sentence\" role=\"status\"></p>
<p class=\"waiting\">{predict_first}</p>
<div class=\"measurement\" hidden>
<figure>
<div class=\"picture\"{role} aria-label=\"{caption}\">
{html}</div>
<figcaption>{caption}</figcaption>
</figure>
{replay}{listed}<p class=\"again\">{claim}{again} <code>cargo run --release{arguments}</code></p>
</div>
</div>
</section>
",
        short = escape(&own.short),
        heading = escape(&own.heading),
        idea = text(&own.idea)?,
        question = text(&own.question)?,
        show = escape(&texts.show),
        predict_first = escape(&texts.predict_first),
        html = picture.html,
        again = escape(&texts.again),
    ))
}
