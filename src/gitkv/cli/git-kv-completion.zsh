#compdef git-kv
# Completion of `git kv …` for zsh, as a file `_git-kv` in fpath; zsh's own completion of git calls it. What can stand where is
# the program's to say: it is asked, without the network. compadd quotes what others wrote; it is never run.

_git-kv ()
{
	local line text
	local -a before values shown
	# What the shell would make of the words: quotes are the line's, not the program's
	before=("${(@Q)words[2,CURRENT-1]}")
	while IFS= read -r line; do
		case $line in
		$'\tfiles') _files; return ;;
		$'\tdirectories') _files -/; return ;;
		esac
		text=${line%%$'\t'*}
		values+=("$text")
		if [[ $line == *$'\t'* ]]; then shown+=("$text  -- ${line#*$'\t'}"); else shown+=("$text"); fi
	done < <(git kv completion words -- "${(@)before/#/=}" "=${(Q)PREFIX}" 2>/dev/null)
	local -a open open_shown whole whole_shown
	local at
	for ((at = 1; at <= $#values; at++)); do
		if [[ $values[at] == --*= ]]; then
			open+=("$values[at]") open_shown+=("$shown[at]")
		else
			whole+=("$values[at]") whole_shown+=("$shown[at]")
		fi
	done
	(( $#whole )) && compadd -l -d whole_shown -a whole
	(( $#open )) && compadd -l -S '' -d open_shown -a open
	(( $#values ))
}

[[ $funcstack[1] == _git-kv ]] && _git-kv "$@" || compdef _git-kv git-kv
