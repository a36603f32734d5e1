# Completion of `git kv …` for fish. What can stand where is the program's to say: it is asked, without the network. fish quotes
# what others wrote; it is never run.

function __git_kv_before
    set -l words (commandline -opc)
    if test (count $words) -gt 0; and string match -qr '(^|/)git$' -- $words[1]
        set -l at (contains -i -- kv $words); or return 1
        set words $words[$at..-1]
    end
    test (count $words) -gt 0; or return 1
    for word in $words[2..-1]
        printf '=%s\n' $word
    end
end

function __git_kv_is_command
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- kv $words[2..-1]
end

function __git_kv_candidates
    set -l typed (commandline -ct | string unescape)
    set -l found (git kv completion words -- (__git_kv_before) "=$typed" 2>/dev/null)
    switch "$found[1]"
        case \t'files'
            __fish_complete_path "$typed"
        case \t'directories'
            __fish_complete_directories "$typed"
        case '*'
            printf '%s\n' $found
    end
end

complete -c git -n __git_kv_is_command -f -a '(__git_kv_candidates)'
complete -c git-kv -f -a '(__git_kv_candidates)'
